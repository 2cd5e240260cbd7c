"""Glasses and face masks, in head units (`pose`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from pipeline.renderer.canvas import Canvas
from pipeline.renderer.palette import BLACK, WHITE, Colour, from_hex, jitter, mix, scale
from pipeline.renderer.paths import Disc, Path, Point, spline
from pipeline.renderer.person.person import Person
from pipeline.renderer.pose import Turn
from pipeline.renderer.random_streams import pick, stream

_FRAMES: tuple[Colour, ...] = tuple(
    from_hex(code) for code in ("17171a", "3b2a20", "6e1f24", "8a8d92", "b08d4a", "1f3556")
)
_LENSES: tuple[Colour, ...] = tuple(from_hex(code) for code in ("0e0f12", "1d1712", "101c24", "2a1c10"))
_SURGICAL: tuple[Colour, ...] = tuple(from_hex(code) for code in ("9fcbdc", "8fb8d8", "a9d6c8", "dfe8ea"))
_CLOTH: tuple[Colour, ...] = tuple(
    from_hex(code) for code in ("1d1d20", "8c2f36", "2f4a7d", "4d6b46", "b9b2a4", "6d4a7c")
)


def draw_glasses(canvas: Canvas, person: Person, turn: Turn, kind: str, seed: int) -> None:
    """Draw clear glasses or sunglasses; `none` draws nothing."""
    if kind == "none":
        return
    rng = stream(seed, "glasses")
    frame, lens = pick(rng, _FRAMES), pick(rng, _LENSES)
    round_one, wide, tall = rng.uniform(0.0, 1.0), rng.uniform(0.215, 0.255), rng.uniform(0.14, 0.20)
    thick = rng.uniform(0.03, 0.065)
    hinge = [[turn.on_face(s * 0.55, -0.03), turn.project(s * 0.80, -0.02, 0.0)] for s in (-1, 1)]
    canvas.lines(hinge, frame, thick * 1.1, 0.95)
    for side in (-1.0, 1.0):
        x, y = turn.on_face(side * (person.build.eye_gap + 0.005), 0.02, 0.06)
        rim = _rim(Disc(x, y, wide, tall), round_one)
        if kind == "sunglasses":
            canvas.fill(rim, lens, 0.96)
            canvas.blob(Disc(x - 0.06, y - 0.06, 0.13, 0.08), WHITE, 0.40)
        else:
            canvas.fill(rim, (0.85, 0.92, 0.98), 0.07)
            canvas.lines([[(x - wide * 0.5, y + tall * 0.4), (x - wide * 0.1, y - tall * 0.5)]], WHITE, 0.03, 0.45)
        canvas.stroke(rim, frame, thick if kind == "clear" else thick * 0.8, 1.0)
    bridge = [turn.on_face(-0.085, 0.0, 0.1), turn.on_face(0.0, -0.03, 0.13), turn.on_face(0.085, 0.0, 0.1)]
    canvas.lines([bridge], frame, thick, 1.0)


def _rim(lens: Disc, roundness: float) -> Path:
    corner = 0.72 + 0.22 * (1.0 - roundness)
    right: list[Point] = [(corner, -corner), (1.0, 0.0), (corner * 0.95, corner)]
    shape = [(0.0, -1.0), *right, (0.0, 1.0), *[(-x, y) for x, y in right[::-1]]]
    return spline([(lens.x + x * lens.rx, lens.y + y * lens.ry) for x, y in shape])


def draw_mask(canvas: Canvas, person: Person, turn: Turn, kind: str, seed: int) -> None:
    """Draw a face mask over nose and mouth; `none` draws nothing."""
    if kind == "none":
        return
    rng = stream(seed, "mask")
    palette = {"surgical": _SURGICAL, "cloth": _CLOTH, "ffp2": (from_hex("eceae4"), from_hex("e4e4e2"))}[kind]
    colour = jitter(rng, pick(rng, palette), 0.03)
    loops = [[turn.on_face(s * 0.55, 0.28), turn.project(s * 0.80, 0.02, 0.0)] for s in (-1, 1)]
    loops += [[turn.on_face(s * 0.48, 0.72), turn.project(s * 0.79, 0.26, 0.0)] for s in (-1, 1)]
    canvas.lines(loops, mix(WHITE, colour, 0.3), 0.03, 0.9)
    _MASKS[kind](canvas, person, turn, colour)


def _sheet(person: Person, turn: Turn, nose: float, cheek: float) -> list[Point]:
    jaw = person.build.jaw
    half: list[Point] = [
        (0.16, 0.12 + nose),
        (0.34, 0.28),
        (person.build.cheek - cheek, 0.28),
        (jaw + 0.08, 0.70),
        (0.25, 1.06),
    ]
    right = [turn.on_face(x, y, 0.03) for x, y in half]
    left = [turn.on_face(-x, y, 0.03) for x, y in half[::-1]]
    return [turn.on_face(0.0, 0.06 + nose, 0.1), *right, turn.on_face(0.0, 1.10, 0.08), *left]


def _surgical(canvas: Canvas, person: Person, turn: Turn, colour: Colour) -> None:
    shape = spline(_sheet(person, turn, 0.08, 0.10))
    canvas.shade(shape, colour, Disc(*turn.on_face(0.0, 0.6), 0.75, 0.65))
    with canvas.clipped_to(shape):
        pleats = [
            [turn.on_face(-0.7, y), turn.on_face(0.0, y + 0.07, 0.1), turn.on_face(0.7, y)] for y in (0.44, 0.58, 0.72)
        ]
        canvas.lines(pleats, scale(colour, 0.68), 0.035, 0.9)
    canvas.lines([_sheet(person, turn, 0.08, 0.10)[:4]], mix(colour, WHITE, 0.6), 0.03, 0.8)


def _cloth(canvas: Canvas, person: Person, turn: Turn, colour: Colour) -> None:
    shape = spline(_sheet(person, turn, 0.02, 0.06))
    canvas.shade(shape, colour, Disc(*turn.on_face(0.0, 0.6), 0.72, 0.65))
    canvas.lines(
        [[turn.on_face(0.0, 0.1, 0.12), turn.on_face(0.0, 0.6, 0.16), turn.on_face(0.0, 1.05, 0.08)]],
        scale(colour, 0.6),
        0.03,
        0.8,
    )
    canvas.stroke(shape, scale(colour, 0.55), 0.035, 0.8)


def _ffp2(canvas: Canvas, person: Person, turn: Turn, colour: Colour) -> None:
    tip = turn.on_face(0.0, 0.50, 0.34)
    shape = spline(_sheet(person, turn, -0.02, 0.16))
    canvas.shade(shape, colour, Disc(tip[0], tip[1], 0.65, 0.65))
    with canvas.clipped_to(shape):
        away = -1.0 if canvas.key[0] > 0 else 1.0
        canvas.blob(Disc(tip[0] + away * 0.42, tip[1] + 0.15, 0.42, 0.6), BLACK, 0.35)
        canvas.lines(
            [[turn.on_face(0.0, 0.05, 0.1), tip, turn.on_face(0.0, 1.06, 0.08)]], scale(colour, 0.72), 0.03, 0.9
        )
        canvas.lines([[turn.on_face(-0.55, 0.5), tip, turn.on_face(0.55, 0.5)]], scale(colour, 0.80), 0.025, 0.8)
    canvas.lines(
        [[turn.on_face(-0.2, 0.16, 0.1), turn.on_face(0.0, 0.08, 0.14), turn.on_face(0.2, 0.16, 0.1)]],
        from_hex("8d8f92"),
        0.035,
        0.9,
    )


_MASKS: Mapping[str, Callable[[Canvas, Person, Turn, Colour], None]] = MappingProxyType(
    {"surgical": _surgical, "cloth": _cloth, "ffp2": _ffp2}
)

"""Hair behind the head and over the skull, in head units (`pose`). Headwear leaves only what is below its rim."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from math import cos, pi, sin
from types import MappingProxyType

import numpy as np

from pipeline.renderer.canvas import Canvas
from pipeline.renderer.palette import BLACK, WHITE, Colour, from_hex, mix, scale
from pipeline.renderer.paths import Disc, Path, Point, ellipses, mirrored, polygon, spline
from pipeline.renderer.person.face import outline
from pipeline.renderer.person.person import Person
from pipeline.renderer.pose import Turn
from pipeline.renderer.random_streams import chance, random_side, stream

_SILVER: Colour = from_hex("b9b7b3")
# Hair below this y shows under the rim of headwear.
RIM = -0.40
_PRESSED: Path = polygon(mirrored([(0.80, RIM), (0.95, -0.28), (1.10, -0.05), (1.25, 0.50), (4.0, 8.0)]))


@dataclass(frozen=True, slots=True)
class HairCut:
    """Shape of one person's hair; lengths in head units.

    Attributes:
        volume: How far the hair stands off the skull.
        hairline: Height y of the hairline.
        part: Where the hair is parted, x.
        fringe: Whether hair covers the forehead.
        length: Height y at which long hair ends.
        seed: Seed of the picture, for strands and curls.
    """

    volume: float
    hairline: float
    part: float
    fringe: bool
    length: float
    seed: int


def sample_hair_cut(person: Person, seed: int) -> HairCut:
    """Sample the shape of a person's hair."""
    rng = stream(seed, "hair")
    receding = 0.12 * person.age * (1.0 - person.femininity) * rng.random()
    return HairCut(
        volume=rng.uniform(0.03, 0.16),
        hairline=-0.58 - receding * 1.6 - rng.uniform(0.0, 0.06),
        part=random_side(rng) * rng.uniform(0.05, 0.45),
        fringe=chance(rng, 0.18 + 0.2 * person.femininity),
        length=rng.uniform(1.15, 2.3),
        seed=seed,
    )


def draw_behind(canvas: Canvas, person: Person, turn: Turn, cut: HairCut, hatted: bool) -> None:
    """Draw the hair behind head and shoulders; with headwear, only what is below its rim."""
    draw = _BEHIND.get(person.hair_style)
    if draw is None:
        return
    with canvas.clipped_to(_PRESSED) if hatted else nullcontext():
        draw(canvas, person, turn, cut)


def draw_front(canvas: Canvas, person: Person, turn: Turn, cut: HairCut, hatted: bool) -> None:
    """Draw the hair over the skull; with headwear, only what is below its rim."""
    with canvas.clipped_to(_PRESSED) if hatted else nullcontext():
        _FRONT[person.hair_style](canvas, person, turn, cut)


def parallax(turn: Turn, depth: float) -> float:
    """Return how far a point at a depth (head units, towards the camera) moves sideways when the head turns."""
    return sin(turn.yaw) * depth


def draw_long_behind(canvas: Canvas, person: Person, turn: Turn, cut: HairCut) -> None:
    """Draw long hair behind neck and shoulders."""
    shift, wide, low = parallax(turn, -0.15), 0.93 + cut.volume, cut.length
    half: list[Point] = [
        (0.5, -0.9),
        (wide - 0.08, -0.45),
        (wide, 0.2),
        (wide + 0.06, 0.85),
        (wide * 0.94, low),
        (0.5, low + 0.12),
    ]
    right = [(x + shift, y) for x, y in half]
    left = [(-x + shift, y + 0.05) for x, y in half[::-1]]
    shape = spline([*right, *left])
    canvas.shade(shape, scale(person.hair, 0.72), Disc(shift, 0.3, 1.0, 1.6))
    rng = stream(cut.seed, "hair/behind")
    with canvas.clipped_to(shape):
        strands = [
            [(x, -0.5), (x * 1.12 + rng.uniform(-0.08, 0.08), 0.5), (x * 1.1, low)] for x in rng.uniform(-1.0, 1.0, 14)
        ]
        canvas.lines(strands, scale(person.hair, 1.25), 0.03, 0.4)
        canvas.blob(Disc(0.0, 1.0, 0.75, 0.6), BLACK, 0.45)


def draw_curls_behind(canvas: Canvas, person: Person, turn: Turn, cut: HairCut) -> None:
    """Draw curls behind the head."""
    rng = stream(cut.seed, "hair/curls")
    reach = 0.98 + cut.volume
    shift = parallax(turn, -0.12)
    spread = rng.uniform(0.0, 2 * pi, 34)
    radii = rng.uniform(0.16, 0.27, 34)
    low = 0.10 + 0.4 * person.femininity
    discs = [
        Disc(reach * 0.9 * cos(a) + shift, -0.25 + (reach if sin(a) < 0 else low + 0.45) * 0.88 * sin(a), r, r)
        for a, r in zip(spread, radii, strict=True)
    ]
    canvas.fill(ellipses([*discs, Disc(shift, -0.28, reach * 0.96, reach * 0.96)]), scale(person.hair, 0.70))


def draw_tied_behind(canvas: Canvas, person: Person, turn: Turn, cut: HairCut) -> None:
    """Draw a bun on the crown or a ponytail over one shoulder."""
    side = 1.0 if cut.part > 0 else -1.0
    if abs(cut.part) > 0.25:
        bun = Disc(parallax(turn, -0.5) + side * 0.08, -1.16, 0.30, 0.27)
        canvas.shade(ellipses([bun]), person.hair, bun)
        return
    x = side * 0.86
    tail = spline(
        [(x * 0.75, -0.35), (x * 1.1, 0.1), (x * 1.22, 0.8), (x * 1.0, cut.length), (x * 0.78, 0.9), (x * 0.7, 0.2)]
    )
    canvas.shade(tail, scale(person.hair, 0.85), Disc(x, 0.5, 0.5, 1.2))


def _short(canvas: Canvas, person: Person, turn: Turn, cut: HairCut) -> None:
    _skull(canvas, person, turn, cut, 0.0)


def _long(canvas: Canvas, person: Person, turn: Turn, cut: HairCut) -> None:
    _skull(canvas, person, turn, cut, 0.20)
    shift, low = parallax(turn, 0.05), cut.length - 0.1
    for side in (-1.0, 1.0):
        lock: list[Point] = [
            (0.50, -0.62),
            (0.76, -0.5),
            (0.92, 0.1),
            (1.0, 0.75),
            (0.92, low),
            (0.70, low + 0.10),
            (0.66, 0.75),
            (0.69, 0.0),
            (0.64, -0.38),
        ]
        shape = spline([(side * x + shift, y) for x, y in lock])
        canvas.shade(shape, person.hair, Disc(side * 0.8, 0.1, 0.5, 1.3), gloss=0.08)
        with canvas.clipped_to(shape):
            strands = [[(side * x, -0.5), (side * (x + 0.1), 0.4), (side * x, low)] for x in (0.70, 0.76, 0.83, 0.9)]
            canvas.lines(strands[::2], scale(person.hair, 0.5), 0.035, 0.5)
            canvas.lines(strands[1::2], mix(person.hair, WHITE, 0.3), 0.03, 0.45)


def _curly(canvas: Canvas, person: Person, turn: Turn, cut: HairCut) -> None:
    rng = stream(cut.seed, "hair/curls/front")
    _skull_soft(canvas, person, cut)
    angles = np.linspace(-0.05, 1.05, 15) * pi
    drift = rng.uniform(-0.06, 0.06, (15, 2))
    radii = rng.uniform(0.13, 0.21, 15)
    ring = [
        Disc(0.76 * cos(a) + float(d[0]) + parallax(turn, 0.12), -0.20 - 0.62 * sin(a) + float(d[1]), r, r)
        for a, d, r in zip(angles, drift, radii, strict=True)
    ]
    canvas.fill(ellipses(ring), person.hair)
    angles = rng.uniform(0.0, pi, 46)
    reach = rng.uniform(0.68, 1.02, 46)
    curls = [_curl(0.86 * r * cos(a), -0.24 - 0.86 * r * sin(a), r * 0.1) for a, r in zip(angles, reach, strict=True)]
    canvas.lines(curls[:26], scale(person.hair, 0.5), 0.05, 0.6)
    canvas.lines(curls[26:], mix(person.hair, WHITE, 0.28), 0.04, 0.5)


def _curl(x: float, y: float, reach: float) -> list[Point]:
    return [
        (x - reach, y + reach * 0.4),
        (x - reach * 0.5, y - reach * 0.8),
        (x + reach * 0.7, y - reach * 0.5),
        (x + reach * 0.8, y + reach * 0.6),
    ]


def _tied(canvas: Canvas, person: Person, turn: Turn, cut: HairCut) -> None:
    sleek = HairCut(0.02, cut.hairline - 0.03, cut.part * 0.3, False, cut.length, cut.seed)
    _skull(canvas, person, turn, sleek, -0.08)


def _shaved(canvas: Canvas, person: Person, turn: Turn, cut: HairCut) -> None:
    line = cut.hairline
    shape = spline(
        [*_cap_points(-0.035, -0.05), (-0.68, -0.10), (-0.46, line + 0.04), (0.46, line + 0.04), (0.68, -0.10)]
    )
    bald = person.age > 0.3 and cut.part > 0.1
    with canvas.clipped_to(outline(person, turn)):
        canvas.fill(shape, person.hair, 0.10 if bald else 0.34 + cut.volume)
    canvas.blob(Disc(canvas.key[0] * 0.45, -0.78, 0.32, 0.18), WHITE, 0.22)


def _cap_points(lift: float, side_low: float) -> list[Point]:
    """Return the outer edge of hair on an unturned skull, from the right over the crown to the left."""
    top = -1.05 - lift
    outer = [(0.80 + lift * 0.4, side_low), (0.83 + lift * 0.7, -0.35), (0.66 + lift * 0.7, -0.82), (0.30, top)]
    return mirrored(outer)


def _skull(canvas: Canvas, person: Person, turn: Turn, cut: HairCut, side_low: float) -> None:
    line = cut.hairline
    if cut.fringe:
        inner: list[Point] = [
            (-0.66, -0.02),
            (-0.58, -0.26),
            (-0.3, -0.22),
            (0.0, -0.26),
            (0.3, -0.21),
            (0.58, -0.27),
            (0.66, -0.02),
        ]
    else:
        inner = [
            (-0.70, -0.02),
            (-0.60, -0.36),
            (-0.44, line + 0.06),
            (cut.part, line - 0.05),
            (0.44, line + 0.06),
            (0.60, -0.36),
            (0.70, -0.02),
        ]
    outer = [(x + parallax(turn, -0.06), y) for x, y in _cap_points(cut.volume, side_low)]
    shape = spline(
        [*outer, *[(x + parallax(turn, 0.30) * (1 - (x / 0.9) ** 2), y + turn.pitch * 0.5) for x, y in inner]]
    )
    canvas.shade(shape, person.hair, Disc(0.0, -0.6, 0.95, 0.85), gloss=0.10)
    _strands(canvas, person, turn, cut, shape)


def _skull_soft(canvas: Canvas, person: Person, cut: HairCut) -> None:
    crown = spline([*_cap_points(0.12 + cut.volume, -0.1), (-0.60, -0.45), (0.0, cut.hairline - 0.08), (0.60, -0.45)])
    canvas.shade(crown, person.hair, Disc(0.0, -0.6, 1.05, 0.9))


def _strands(canvas: Canvas, person: Person, turn: Turn, cut: HairCut, shape: Path) -> None:
    rng = stream(cut.seed, "hair/strands")
    root = (cut.part + parallax(turn, 0.1), -1.08 - cut.volume)
    ends = rng.uniform(-1.0, 1.0, 22)
    with canvas.clipped_to(shape):
        combed = [[root, (root[0] * 0.4 + e * 0.75, -0.86), (e * 0.92, -0.25 - 0.3 * (1 - abs(e)))] for e in ends]
        canvas.lines(combed[:12], scale(person.hair, 0.55), 0.035, 0.55)
        canvas.lines(combed[12:], mix(person.hair, WHITE, 0.28), 0.03, 0.40)
        if person.age > 0.3:
            share = 0.15 + 0.4 * (person.age > 0.7)
            temples = [
                [(s * (0.70 + 0.03 * k), -0.45), (s * (0.74 + 0.025 * k), -0.05)] for s in (-1, 1) for k in range(3)
            ]
            canvas.lines(temples, _SILVER, 0.04, share)
    canvas.blob(Disc(canvas.key[0] * 0.4, -0.86, 0.45, 0.16), mix(person.hair, WHITE, 0.55), 0.34)


Draw = Callable[[Canvas, Person, Turn, HairCut], None]
_BEHIND: Mapping[str, Draw] = MappingProxyType(
    {"long": draw_long_behind, "curly": draw_curls_behind, "tied_back": draw_tied_behind}
)
_FRONT: Mapping[str, Draw] = MappingProxyType(
    {"short": _short, "long": _long, "curly": _curly, "tied_back": _tied, "shaved": _shaved}
)

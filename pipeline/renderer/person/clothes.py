"""The body below the chin: neck, torso, arms and seven kinds of garment. All in head units (`pose`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pipeline.renderer.canvas import Canvas
from pipeline.renderer.palette import BLACK, CLOTH, WHITE, Colour, from_hex, jitter, luminance, mix, scale, shadow_of
from pipeline.renderer.paths import Disc, Path, Point, polygon, polyline, spline
from pipeline.renderer.person.person import Person
from pipeline.renderer.random_streams import chance, pick, random_side, stream

_SILVER: Colour = from_hex("d9dde0")
# Height y below every picture's bottom edge.
FLOOR = 9.0


@dataclass(frozen=True, slots=True)
class Outfit:
    """A garment on a body.

    Attributes:
        kind: A value of the factor `clothing`.
        colour: Main colour.
        under: Colour of what is worn beneath, of stripes and of prints.
        pattern: plain, stripes or print.
        neckline: How much deeper than usual the neckline is.
        shoulders: Half the width of the shoulders.
        neck: Half the width of the neck.
        reaching: Arm that holds out the phone: -1 left, 1 right, 0 neither.
    """

    kind: str
    colour: Colour
    under: Colour
    pattern: str
    neckline: float
    shoulders: float
    neck: float
    reaching: float


def sample_outfit(kind: str, colour: str, person: Person, seed: int) -> Outfit:
    """Sample a person's outfit of a given kind and colour."""
    rng = stream(seed, "clothes")
    return Outfit(
        kind=kind,
        colour=jitter(rng, CLOTH[colour], 0.04),
        under=jitter(rng, pick(rng, tuple(CLOTH.values())), 0.05),
        pattern=pick(rng, ("plain", "plain", "plain", "stripes", "print")),
        neckline=rng.uniform(0.0, 0.22),
        shoulders=person.build.shoulders,
        neck=person.build.neck,
        reaching=random_side(rng) if chance(rng, 0.35) else 0.0,
    )


def draw_body(canvas: Canvas, person: Person, outfit: Outfit) -> None:
    """Draw neck, arms and garment."""
    _neck(canvas, person)
    if outfit.kind == "t_shirt":
        _arms(canvas, outfit, person.skin, 2.0)
    sleeves = outfit.under if outfit.kind == "hi_vis_vest" else outfit.colour
    _arms(canvas, outfit, sleeves, 2.0, 3.15 if outfit.kind == "t_shirt" else FLOOR)
    torso = _torso(outfit)
    canvas.shade(
        torso,
        outfit.colour,
        Disc(0.0, 2.6, outfit.shoulders * 1.05, 2.6),
        gloss=0.30 if outfit.kind == "rain_jacket" else 0.0,
    )
    with canvas.clipped_to(torso):
        _folds(canvas, outfit)
        _draw_details(canvas, outfit)
    _draw_neckline(canvas, outfit)


def _neck(canvas: Canvas, person: Person) -> None:
    wide = person.build.neck
    neck = spline(
        [(-wide, 0.5), (-wide, 1.1), (-wide - 0.35, 1.55), (0.0, 2.2), (wide + 0.35, 1.55), (wide, 1.1), (wide, 0.5)]
    )
    canvas.shade(neck, mix(person.skin, shadow_of(person.skin), 0.25), Disc(0.0, 1.5, 0.8, 0.9))
    with canvas.clipped_to(neck):
        canvas.blob(Disc(0.0, 0.95, 0.80, 0.48), shadow_of(person.skin), 0.95)


def _torso(outfit: Outfit) -> Path:
    wide, neck, low = outfit.shoulders, outfit.neck, outfit.neckline
    right: list[Point] = [
        (neck + 0.06, 1.28),
        (wide * 0.72, 1.56),
        (wide * 0.97, 1.78),
        (wide, 2.15),
        (wide * 0.86, 3.2),
        (wide * 0.84, 5.5),
        (wide * 0.86, FLOOR),
    ]
    left = [(-x, y) for x, y in right[::-1]]
    return spline([(0.0, 1.58 + low), (neck * 0.7, 1.50 + low * 0.7), *right, *left, (-neck * 0.7, 1.50 + low * 0.7)])


def _arms(canvas: Canvas, outfit: Outfit, colour: Colour, top: float, end: float = FLOOR) -> None:
    wide = outfit.shoulders
    far = (end - top) / (FLOOR - top)
    for side in (-1.0, 1.0):
        if side == outfit.reaching:
            arm: list[Point] = [
                (0.6, 1.62),
                (1.05, 1.68),
                (1.2 + 1.5 * far, 1.85 + 2.1 * far),
                (1.2 + 1.5 * far, 3.1 + 2.5 * far),
                (0.95, 2.9),
                (0.7, 2.7),
            ]
        else:
            arm = [
                (0.55, top - 0.35),
                (0.96, top - 0.2),
                (1.08, top + 0.5),
                (1.16, (top + end) / 2),
                (1.2, end),
                (0.84, end),
                (0.78, top + 1.0),
            ]
        canvas.shade(
            spline([(side * x * wide, y) for x, y in arm]), scale(colour, 0.92), Disc(side * wide, 2.8, 0.7, 2.4)
        )


def _folds(canvas: Canvas, outfit: Outfit) -> None:
    wide = outfit.shoulders
    creases = [[(s * wide * 0.80, 2.1), (s * wide * 0.70, 2.7), (s * wide * 0.78, 3.6)] for s in (-1, 1)]
    creases += [[(s * wide * 0.72, 2.9), (s * wide * 0.35, 3.1)] for s in (-1, 1)]
    canvas.lines(creases, scale(outfit.colour, 0.55), 0.07, 0.55)
    canvas.blob(Disc(0.0, 1.35, 1.0, 0.45), BLACK, 0.40)
    if outfit.pattern == "stripes" and outfit.kind in {"t_shirt", "jumper"}:
        canvas.lines(
            [[(-2.5, y / 10), (0.0, y / 10 + 0.12), (2.5, y / 10)] for y in range(18, 70, 5)], outfit.under, 0.17, 0.9
        )


def _draw_details(canvas: Canvas, outfit: Outfit) -> None:
    """Draw the details of a kind of garment: pockets, buttons, zips, reflective bands."""
    _DETAILS[outfit.kind](canvas, outfit)


def _t_shirt(canvas: Canvas, outfit: Outfit) -> None:
    if outfit.pattern == "print":
        canvas.oval(Disc(0.0, 3.0, 0.5, 0.42), outfit.under, 0.9)
        canvas.box((-0.3, 2.9, 0.3, 3.05), outfit.colour, 0.9)


def _hoodie(canvas: Canvas, outfit: Outfit) -> None:
    pocket = polygon([(-0.65, 4.3), (0.65, 4.3), (0.95, 5.3), (-0.95, 5.3)])
    canvas.stroke(pocket, scale(outfit.colour, 0.55), 0.06)
    if outfit.pattern == "print":
        canvas.box((-0.6, 2.75, 0.6, 3.05), outfit.under, 0.85)


def _shirt(canvas: Canvas, outfit: Outfit) -> None:
    if outfit.pattern in {"stripes", "print"}:
        rows = [[(x / 4, 1.0), (x / 4, FLOOR)] for x in range(-9, 10, 2)]
        if outfit.pattern == "print":
            rows += [[(-2.5, y / 2), (2.5, y / 2)] for y in range(3, 14)]
        canvas.lines(rows, outfit.under, 0.07, 0.55)
    canvas.lines([[(0.0, 1.5), (0.0, FLOOR)]], scale(outfit.colour, 0.6), 0.035, 0.9)
    for y in (2.1, 2.7, 3.3, 3.9):
        canvas.oval(Disc(0.05, y, 0.05, 0.05), mix(outfit.colour, WHITE, 0.5))


def _jacket(canvas: Canvas, outfit: Outfit) -> None:
    canvas.fill(
        polygon([(-0.38, 1.2), (0.38, 1.2), (0.30, 3.2), (0.12, FLOOR), (-0.12, FLOOR), (-0.30, 3.2)]), outfit.under
    )
    canvas.lines([[(s * 0.4, 1.4), (s * 0.3, 3.2), (s * 0.12, 7.0)] for s in (-1, 1)], scale(outfit.colour, 0.45), 0.07)
    canvas.lines([[(s * 0.6, 3.3), (s * 1.1, 3.2)] for s in (-1, 1)], scale(outfit.colour, 0.5), 0.06)


def _rain_jacket(canvas: Canvas, outfit: Outfit) -> None:
    canvas.lines([[(0.0, 1.5), (0.0, FLOOR)]], scale(outfit.colour, 0.45), 0.12)
    canvas.lines([[(0.0, 1.5), (0.0, FLOOR)]], _SILVER, 0.03)
    canvas.lines(
        [[(s * 0.5, 1.9), (s * 0.75, 2.6), (s * 0.6, 3.6)] for s in (-1, 1)], mix(outfit.colour, WHITE, 0.55), 0.09, 0.6
    )
    canvas.lines([[(-2.0, 2.95), (2.0, 2.95)]], _SILVER, 0.08, 0.8)


def _hi_vis(canvas: Canvas, outfit: Outfit) -> None:
    for side in (-1.0, 1.0):
        strip = [[(side * 0.78, 1.3), (side * 0.72, 2.4), (side * 0.74, FLOOR)]]
        canvas.stroke(polyline(strip), scale(outfit.colour, 0.6), 0.38)
        canvas.stroke(polyline(strip), _SILVER, 0.26)
    for y in (3.1, 4.4):
        canvas.box((-2.5, y, 2.5, y + 0.36), scale(outfit.colour, 0.6))
        canvas.box((-2.5, y + 0.06, 2.5, y + 0.30), _SILVER)
    canvas.lines([[(0.0, 1.6), (0.0, FLOOR)]], scale(outfit.colour, 0.5), 0.06)


def _jumper(canvas: Canvas, outfit: Outfit) -> None:
    ribs = [[(x / 6, 1.3), (x / 6, FLOOR)] for x in range(-13, 14)]
    canvas.lines(ribs, scale(outfit.colour, 0.7), 0.05, 0.45)
    if outfit.pattern == "print":
        zigzag: list[Point] = [(x / 4 - 2.5, 2.5 + 0.25 * (x % 2)) for x in range(21)]
        canvas.lines([zigzag], outfit.under, 0.16, 0.95)


def _draw_neckline(canvas: Canvas, outfit: Outfit) -> None:
    """Draw neckband, collar or lowered hood."""
    neck, low = outfit.neck, outfit.neckline
    if outfit.kind in {"t_shirt", "jumper", "hi_vis_vest"}:
        band = [
            (-neck - 0.06, 1.28),
            (-neck * 0.7, 1.50 + low * 0.7),
            (0.0, 1.58 + low),
            (neck * 0.7, 1.50 + low * 0.7),
            (neck + 0.06, 1.28),
        ]
        canvas.lines([band], scale(outfit.colour, 0.72), 0.15 if outfit.kind == "jumper" else 0.08, 1.0)
    elif outfit.kind in {"hoodie", "rain_jacket"}:
        _hood_down(canvas, outfit)
    else:
        _collar(canvas, outfit)


def _hood_down(canvas: Canvas, outfit: Outfit) -> None:
    neck = outfit.neck
    for side in (-1.0, 1.0):
        lobe = [
            (neck * 0.8, 1.0),
            (neck + 0.42, 1.12),
            (neck + 0.55, 1.5),
            (neck * 0.9, 1.78),
            (0.05, 1.88),
            (neck * 0.55, 1.5),
        ]
        canvas.shade(
            spline([(side * x, y) for x, y in lobe]), scale(outfit.colour, 0.9), Disc(side * 0.6, 1.4, 0.6, 0.6)
        )
    if outfit.kind == "hoodie":
        strings = [[(s * 0.20, 1.75), (s * 0.24, 2.1), (s * 0.21, 2.55)] for s in (-1, 1)]
        canvas.lines(strings, mix(outfit.colour, WHITE if luminance(outfit.colour) < 0.6 else BLACK, 0.7), 0.055)


def _collar(canvas: Canvas, outfit: Outfit) -> None:
    neck = outfit.neck
    high = 1.05 if outfit.kind == "jacket" else 1.16
    for side in (-1.0, 1.0):
        flap = [(neck + 0.02, high), (neck + 0.24, high + 0.22), (neck * 0.9, 2.02), (0.03, 1.66), (neck * 0.6, 1.45)]
        shape = polygon([(side * x, y) for x, y in flap])
        canvas.shade(shape, mix(outfit.colour, WHITE, 0.08), Disc(side * 0.4, 1.5, 0.5, 0.6))
        canvas.stroke(shape, scale(outfit.colour, 0.5), 0.03, 0.7)


_DETAILS: Mapping[str, Callable[[Canvas, Outfit], None]] = MappingProxyType(
    {
        "t_shirt": _t_shirt,
        "hoodie": _hoodie,
        "shirt": _shirt,
        "jacket": _jacket,
        "rain_jacket": _rain_jacket,
        "hi_vis_vest": _hi_vis,
        "jumper": _jumper,
    }
)

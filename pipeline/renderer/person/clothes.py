"""Clothes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pipeline.renderer.canvas import Brush
from pipeline.renderer.palette import BLACK, CLOTH, WHITE, Colour, from_hex, jitter, luminance, mix, scale, shadow_of
from pipeline.renderer.paths import Disc, Path, Point, polygon, polyline, spline
from pipeline.renderer.person.person import Person
from pipeline.renderer.random_streams import chance, either, pick, stream

_SILVER: Colour = from_hex("d9dde0")
FLOOR = 9.0


@dataclass(frozen=True, slots=True)
class Outfit:
    """A garment on a body: its colour, the colour worn beneath, a pattern, and how deep the neckline is cut.

    `reaching` is the arm that holds the phone out: -1 left, 1 right, 0 neither.
    """

    kind: str
    colour: Colour
    under: Colour
    pattern: str
    neckline: float
    shoulders: float
    neck: float
    reaching: float


def dress(kind: str, colour: str, person: Person, seed: int) -> Outfit:
    """Return the outfit that a seed gives a person."""
    rng = stream(seed, "clothes")
    return Outfit(
        kind=kind,
        colour=jitter(rng, CLOTH[colour], 0.04),
        under=jitter(rng, pick(rng, tuple(CLOTH.values())), 0.05),
        pattern=pick(rng, ("plain", "plain", "plain", "stripes", "print")),
        neckline=rng.uniform(0.0, 0.22),
        shoulders=person.build.shoulders,
        neck=person.build.neck,
        reaching=either(rng) if chance(rng, 0.35) else 0.0,
    )


def draw_details(brush: Brush, outfit: Outfit) -> None:
    """Draw what makes a garment that garment: pockets, buttons, zips, bands."""
    _DETAILS[outfit.kind](brush, outfit)


def draw_neckline(brush: Brush, outfit: Outfit) -> None:
    """Draw the collar where the garment meets the neck."""
    neck, low = outfit.neck, outfit.neckline
    if outfit.kind in {"t_shirt", "jumper", "hi_vis_vest"}:
        band = [
            (-neck - 0.06, 1.28),
            (-neck * 0.7, 1.50 + low * 0.7),
            (0.0, 1.58 + low),
            (neck * 0.7, 1.50 + low * 0.7),
            (neck + 0.06, 1.28),
        ]
        brush.lines([band], scale(outfit.colour, 0.72), 0.15 if outfit.kind == "jumper" else 0.08, 1.0)
    elif outfit.kind in {"hoodie", "rain_jacket"}:
        _hood_down(brush, outfit)
    else:
        _collar(brush, outfit)


def _t_shirt(brush: Brush, outfit: Outfit) -> None:
    if outfit.pattern == "print":
        brush.oval(Disc(0.0, 3.0, 0.5, 0.42), outfit.under, 0.9)
        brush.box((-0.3, 2.9, 0.3, 3.05), outfit.colour, 0.9)


def _hoodie(brush: Brush, outfit: Outfit) -> None:
    pocket = polygon([(-0.65, 4.3), (0.65, 4.3), (0.95, 5.3), (-0.95, 5.3)])
    brush.stroke(pocket, scale(outfit.colour, 0.55), 0.06)
    if outfit.pattern == "print":
        brush.box((-0.6, 2.75, 0.6, 3.05), outfit.under, 0.85)


def _shirt(brush: Brush, outfit: Outfit) -> None:
    if outfit.pattern in {"stripes", "print"}:
        rows = [[(x / 4, 1.0), (x / 4, FLOOR)] for x in range(-9, 10, 2)]
        if outfit.pattern == "print":
            rows += [[(-2.5, y / 2), (2.5, y / 2)] for y in range(3, 14)]
        brush.lines(rows, outfit.under, 0.07, 0.55)
    brush.lines([[(0.0, 1.5), (0.0, FLOOR)]], scale(outfit.colour, 0.6), 0.035, 0.9)
    for y in (2.1, 2.7, 3.3, 3.9):
        brush.oval(Disc(0.05, y, 0.05, 0.05), mix(outfit.colour, WHITE, 0.5))


def _jacket(brush: Brush, outfit: Outfit) -> None:
    brush.fill(
        polygon([(-0.38, 1.2), (0.38, 1.2), (0.30, 3.2), (0.12, FLOOR), (-0.12, FLOOR), (-0.30, 3.2)]), outfit.under
    )
    brush.lines([[(s * 0.4, 1.4), (s * 0.3, 3.2), (s * 0.12, 7.0)] for s in (-1, 1)], scale(outfit.colour, 0.45), 0.07)
    brush.lines([[(s * 0.6, 3.3), (s * 1.1, 3.2)] for s in (-1, 1)], scale(outfit.colour, 0.5), 0.06)


def _rain_jacket(brush: Brush, outfit: Outfit) -> None:
    brush.lines([[(0.0, 1.5), (0.0, FLOOR)]], scale(outfit.colour, 0.45), 0.12)
    brush.lines([[(0.0, 1.5), (0.0, FLOOR)]], _SILVER, 0.03)
    brush.lines(
        [[(s * 0.5, 1.9), (s * 0.75, 2.6), (s * 0.6, 3.6)] for s in (-1, 1)], mix(outfit.colour, WHITE, 0.55), 0.09, 0.6
    )
    brush.lines([[(-2.0, 2.95), (2.0, 2.95)]], _SILVER, 0.08, 0.8)


def _hi_vis(brush: Brush, outfit: Outfit) -> None:
    for side in (-1.0, 1.0):
        strip = [[(side * 0.78, 1.3), (side * 0.72, 2.4), (side * 0.74, FLOOR)]]
        brush.stroke(polyline(strip), scale(outfit.colour, 0.6), 0.38)
        brush.stroke(polyline(strip), _SILVER, 0.26)
    for y in (3.1, 4.4):
        brush.box((-2.5, y, 2.5, y + 0.36), scale(outfit.colour, 0.6))
        brush.box((-2.5, y + 0.06, 2.5, y + 0.30), _SILVER)
    brush.lines([[(0.0, 1.6), (0.0, FLOOR)]], scale(outfit.colour, 0.5), 0.06)


def _jumper(brush: Brush, outfit: Outfit) -> None:
    ribs = [[(x / 6, 1.3), (x / 6, FLOOR)] for x in range(-13, 14)]
    brush.lines(ribs, scale(outfit.colour, 0.7), 0.05, 0.45)
    if outfit.pattern == "print":
        zigzag: list[Point] = [(x / 4 - 2.5, 2.5 + 0.25 * (x % 2)) for x in range(21)]
        brush.lines([zigzag], outfit.under, 0.16, 0.95)


def _hood_down(brush: Brush, outfit: Outfit) -> None:
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
        brush.shade(
            spline([(side * x, y) for x, y in lobe]), scale(outfit.colour, 0.9), Disc(side * 0.6, 1.4, 0.6, 0.6)
        )
    if outfit.kind == "hoodie":
        strings = [[(s * 0.20, 1.75), (s * 0.24, 2.1), (s * 0.21, 2.55)] for s in (-1, 1)]
        brush.lines(strings, mix(outfit.colour, WHITE if luminance(outfit.colour) < 0.6 else BLACK, 0.7), 0.055)


def _collar(brush: Brush, outfit: Outfit) -> None:
    neck = outfit.neck
    high = 1.05 if outfit.kind == "jacket" else 1.16
    for side in (-1.0, 1.0):
        flap = [(neck + 0.02, high), (neck + 0.24, high + 0.22), (neck * 0.9, 2.02), (0.03, 1.66), (neck * 0.6, 1.45)]
        shape = polygon([(side * x, y) for x, y in flap])
        brush.shade(shape, mix(outfit.colour, WHITE, 0.08), Disc(side * 0.4, 1.5, 0.5, 0.6))
        brush.stroke(shape, scale(outfit.colour, 0.5), 0.03, 0.7)


_DETAILS: Mapping[str, Callable[[Brush, Outfit], None]] = MappingProxyType(
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


def draw_body(brush: Brush, person: Person, outfit: Outfit) -> None:
    """Draw neck, shoulders, arms and the garment, in head units around the head's middle."""
    _neck(brush, person)
    if outfit.kind == "t_shirt":
        _arms(brush, outfit, person.skin, 2.0)
    sleeves = outfit.under if outfit.kind == "hi_vis_vest" else outfit.colour
    _arms(brush, outfit, sleeves, 2.0, 3.15 if outfit.kind == "t_shirt" else FLOOR)
    torso = _torso(outfit)
    brush.shade(
        torso,
        outfit.colour,
        Disc(0.0, 2.6, outfit.shoulders * 1.05, 2.6),
        gloss=0.30 if outfit.kind == "rain_jacket" else 0.0,
    )
    with brush.inside(torso):
        _folds(brush, outfit)
        draw_details(brush, outfit)
    draw_neckline(brush, outfit)


def _neck(brush: Brush, person: Person) -> None:
    wide = person.build.neck
    neck = spline(
        [(-wide, 0.5), (-wide, 1.1), (-wide - 0.35, 1.55), (0.0, 2.2), (wide + 0.35, 1.55), (wide, 1.1), (wide, 0.5)]
    )
    brush.shade(neck, mix(person.skin, shadow_of(person.skin), 0.25), Disc(0.0, 1.5, 0.8, 0.9))
    with brush.inside(neck):
        brush.blob(Disc(0.0, 0.95, 0.80, 0.48), shadow_of(person.skin), 0.95)


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


def _arms(brush: Brush, outfit: Outfit, colour: Colour, top: float, end: float = FLOOR) -> None:
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
        brush.shade(
            spline([(side * x * wide, y) for x, y in arm]), scale(colour, 0.92), Disc(side * wide, 2.8, 0.7, 2.4)
        )


def _folds(brush: Brush, outfit: Outfit) -> None:
    wide = outfit.shoulders
    creases = [[(s * wide * 0.80, 2.1), (s * wide * 0.70, 2.7), (s * wide * 0.78, 3.6)] for s in (-1, 1)]
    creases += [[(s * wide * 0.72, 2.9), (s * wide * 0.35, 3.1)] for s in (-1, 1)]
    brush.lines(creases, scale(outfit.colour, 0.55), 0.07, 0.55)
    brush.blob(Disc(0.0, 1.35, 1.0, 0.45), BLACK, 0.40)
    if outfit.pattern == "stripes" and outfit.kind in {"t_shirt", "jumper"}:
        brush.lines(
            [[(-2.5, y / 10), (0.0, y / 10 + 0.12), (2.5, y / 10)] for y in range(18, 70, 5)], outfit.under, 0.17, 0.9
        )

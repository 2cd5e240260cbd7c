"""The body below the chin: neck, torso, arms and folds, in whatever the person wears."""

from __future__ import annotations

from pipeline.renderer.canvas import Brush
from pipeline.renderer.palette import BLACK, Colour, mix, scale, shadow_of
from pipeline.renderer.paths import Disc, Path, Point, spline
from pipeline.renderer.person.garments import FLOOR, Outfit, draw_details, draw_neckline
from pipeline.renderer.person.person import Person


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

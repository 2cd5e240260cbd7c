"""The bare head: skull, ears, and the relief that gives a face its depth."""

from __future__ import annotations

from math import sin

from pipeline.renderer.canvas import Brush
from pipeline.renderer.palette import WHITE, Colour, from_hex, luminance, mix, shadow_of
from pipeline.renderer.paths import Disc, Path, spline
from pipeline.renderer.person.features import draw_eyes, draw_mouth, draw_nose
from pipeline.renderer.person.person import Person
from pipeline.renderer.person.years import draw_beard, draw_years
from pipeline.renderer.pose import Turn

_BLUSH: Colour = from_hex("c0504a")
_GOLD: Colour = from_hex("e8c66a")


def outline(person: Person, turn: Turn) -> Path:
    """Return the outline of the face and skull."""
    build, lean = person.build, sin(turn.yaw)
    nod = sin(turn.pitch)
    half = (
        (0.30, -0.99, 0.0),
        (0.60, -0.78, 0.0),
        (0.735, -0.42, 0.02),
        (build.cheek, 0.02, 0.10),
        (build.cheek - 0.035, 0.30, 0.18),
        (build.jaw + 0.09, 0.66, 0.32),
        (build.chin, 0.97, 0.48),
    )
    right = [(x + lean * depth, y + nod * depth * 0.5) for x, y, depth in half]
    left = [(-x + lean * depth, y + nod * depth * 0.5) for x, y, depth in half[::-1]]
    return spline([(0.0, -1.03), *right, (lean * 0.5, 1.02 + nod * 0.25), *left])


def draw_face(brush: Brush, person: Person, turn: Turn) -> None:
    """Draw the bare head, without hair."""
    _ears(brush, person, turn)
    face = outline(person, turn)
    brush.shade(face, person.skin, Disc(0.0, 0.0, 0.85, 1.08), gloss=0.10)
    with brush.inside(face):
        _relief(brush, person, turn)
        draw_years(brush, person, turn)
        draw_beard(brush, person, turn)
    draw_eyes(brush, person, turn)
    draw_nose(brush, person, turn)
    draw_mouth(brush, person, turn)


def _ears(brush: Brush, person: Person, turn: Turn) -> None:
    for side in (-1.0, 1.0):
        x = side * (person.build.cheek + 0.02) - sin(turn.yaw) * 0.14
        y = 0.10 - sin(turn.pitch) * 0.1
        ear = Disc(x, y, 0.115, 0.215)
        brush.oval(ear, mix(person.skin, shadow_of(person.skin), 0.25))
        brush.blob(Disc(x - side * 0.01, y, 0.08, 0.15), shadow_of(person.skin), 0.6)
        if person.earrings:
            brush.oval(Disc(x, y + 0.24, 0.045, 0.06), _GOLD)


def _relief(brush: Brush, person: Person, turn: Turn) -> None:
    dark, skin = shadow_of(person.skin), person.skin
    light = mix(skin, WHITE, 0.34)
    side = -1.0 if brush.key[0] > 0 else 1.0
    strength = 0.30 + 0.5 * brush.contrast
    for x, y, rx, ry, share in (
        (side * 0.72, 0.15, 0.42, 0.95, 0.75),
        (-side * 0.82, 0.2, 0.24, 0.8, 0.30),
        (0.0, 1.02, 0.55, 0.20, 0.45),
    ):
        brush.blob(Disc(*turn.on_face(x, y), rx, ry), dark, strength * share)
    for x, y, rx, ry, alpha in (
        (-side * 0.15, -0.52, 0.36, 0.24, 0.26),
        (-side * 0.36, 0.30, 0.20, 0.15, 0.34),
        (side * 0.38, 0.30, 0.15, 0.12, 0.14),
        (0.0, 0.86, 0.13, 0.09, 0.20),
    ):
        brush.blob(Disc(*turn.on_face(x, y), rx, ry), light, alpha)
    for eye in (-1.0, 1.0):
        socket = turn.on_face(eye * person.build.eye_gap, -0.04)
        brush.blob(Disc(*socket, 0.25, 0.17), dark, 0.42)
        cheek = Disc(*turn.on_face(eye * 0.42, 0.36), 0.22, 0.18)
        brush.blob(cheek, mix(skin, _BLUSH, 0.5), (0.20 + 0.12 * person.femininity) * min(1.0, 0.25 + luminance(skin)))

"""Hands: one that holds a helmet low in the picture, one that covers part of the head."""

from __future__ import annotations

from pipeline.renderer.canvas import Canvas
from pipeline.renderer.headwear.helmets import draw_loose_helmet, make_helmet
from pipeline.renderer.palette import HEADWEAR, Colour, jitter, shadow_of
from pipeline.renderer.paths import Disc, Point, ellipse, spline
from pipeline.renderer.pose import Pose, Turn
from pipeline.renderer.random_streams import pick, random_side, stream
from pipeline.renderer.vocabulary import HELMETS


def draw_fingers(canvas: Canvas, skin: Colour, at: Point, reach: float, degrees: float) -> None:
    """Draw four fingers side by side from a point; `reach` is the length of the longest, `degrees` their direction."""
    with canvas.placed(at, reach, degrees):
        for number, length in enumerate((0.86, 1.0, 0.96, 0.78)):
            y = 0.26 * number - 0.4
            finger = spline(
                [
                    (-0.25, y - 0.11),
                    (length - 0.08, y - 0.10),
                    (length, y),
                    (length - 0.08, y + 0.10),
                    (-0.25, y + 0.11),
                ]
            )
            canvas.shade(finger, skin, Disc(0.4, y, 0.9, 0.25))
            canvas.stroke(finger, shadow_of(skin), 0.035, 0.7)


def draw_held_helmet(canvas: Canvas, skin: Colour, colour: str, pose: Pose, seed: int) -> None:
    """Draw a helmet held low in the picture. Origin: middle of the bottom edge; unit: the picture's height."""
    rng = stream(seed, "held")
    helmet = make_helmet(pick(rng, HELMETS), jitter(rng, HEADWEAR[colour], 0.04), "held/helmet", seed)
    side = -random_side(rng) if abs(pose.x - 0.5) < 0.13 else (-1.0 if pose.x > 0.5 else 1.0)
    unit = min(pose.unit * rng.uniform(0.95, 1.1), 0.19)
    x = 0.75 * side * rng.uniform(0.20, 0.32)
    y = min(max(pose.y + pose.unit * 1.6, rng.uniform(0.78, 0.86)), 0.87) - 1.0
    turn = Turn(yaw=rng.uniform(-1.0, 1.0), pitch=rng.uniform(-0.1, 0.35))
    tilt = rng.uniform(-35.0, 35.0)
    with canvas.placed((x, y), unit, tilt):
        draw_loose_helmet(canvas, helmet, turn)
        draw_fingers(canvas, skin, (side * 0.75, 0.42), 0.42, -90.0 + 20.0 * side)


def draw_stray_hand(canvas: Canvas, skin: Colour, seed: int) -> None:
    """Draw a hand from the side that covers part of the head; head units."""
    rng = stream(seed, "stray hand")
    side, y = random_side(rng), rng.uniform(-0.9, 0.6)
    palm = Disc(side * 1.15, y, 0.42, 0.40)
    arm = spline(
        [
            (side * 0.95, y - 0.3),
            (side * 1.5, y - 0.2),
            (side * 3.4, y + 1.6),
            (side * 3.0, y + 2.4),
            (side * 1.0, y + 0.38),
        ]
    )
    canvas.shade(arm, skin, Disc(side * 1.6, y + 0.5, 1.5, 1.5))
    canvas.shade(ellipse(palm), skin, palm)
    draw_fingers(
        canvas, skin, (side * 0.95, y), 0.62, 180.0 + rng.uniform(-25, 25) if side > 0 else rng.uniform(-25, 25)
    )

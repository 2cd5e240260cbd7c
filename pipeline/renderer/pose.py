"""Where the head is and how it is turned, and the one map from the head's own surface to the picture.

Head units: the origin lies between the eyes and the ears, x to the right, y down, z towards the camera; the crown is at
y = -1 and the chin at y = 1. So everything is drawn once and fits any picture size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import cos, hypot, pi, sin, sqrt
from types import MappingProxyType

import numpy as np

from pipeline.renderer.paths import Point
from pipeline.renderer.random_streams import chance, either, stream

HEAD_DEPTH = 0.85
CROP_CHANCE = 0.05

# framing -> half the height of the head, its offset sideways and its place from the top, from ... to; in picture
# heights, the offset in picture widths.
_FRAMINGS: Mapping[str, tuple[Point, Point, Point]] = MappingProxyType(
    {
        "close_up": ((0.265, 0.320), (0.0, 0.05), (0.46, 0.53)),
        "arm_length": ((0.185, 0.230), (0.0, 0.10), (0.36, 0.45)),
        "half_body": ((0.112, 0.142), (0.0, 0.14), (0.25, 0.33)),
        "off_centre": ((0.180, 0.235), (0.15, 0.25), (0.34, 0.50)),
    }
)


@dataclass(frozen=True, slots=True)
class Turn:
    """How a head, or what is on it, is turned from the camera: yaw to the right, pitch seen from above, radians."""

    yaw: float
    pitch: float

    def project(self, x: float, y: float, z: float) -> Point:
        """Return where a point of the turned body falls in the picture plane."""
        across = x * cos(self.yaw) + z * sin(self.yaw)
        depth = z * cos(self.yaw) - x * sin(self.yaw)
        return across, y * cos(self.pitch) + depth * sin(self.pitch)

    def facing(self, x: float, z: float) -> float:
        """Return how far towards the camera a point on the body lies once turned (negative: behind)."""
        return z * cos(self.yaw) - x * sin(self.yaw)

    def on_face(self, x: float, y: float, lift: float = 0.0) -> Point:
        """Return where a spot of the face falls; lift raises it off the face, as for a nose tip."""
        z = HEAD_DEPTH * sqrt(max(0.02, 1.0 - (x / 0.95) ** 2 - (y / 1.35) ** 2)) + lift
        return self.project(x, y, z)

    def on_faces(self, spots: Sequence[Point]) -> list[Point]:
        """Return where several spots of the face fall."""
        return [self.on_face(x, y) for x, y in spots]


@dataclass(frozen=True, slots=True)
class Shell:
    """Half an ellipsoid worn on the head: half axes and how high its rim sits."""

    rx: float
    ry: float
    rz: float
    rim: float

    def spot(self, turn: Turn, longitude: float, latitude: float) -> Point:
        """Return where a spot falls: longitude from the front, latitude up from the rim, radians."""
        flat = cos(latitude)
        x, z = self.rx * flat * sin(longitude), self.rz * flat * cos(longitude)
        return turn.project(x, self.rim - self.ry * sin(latitude), z)

    def ring(self, turn: Turn, latitude: float, reach: float = pi / 2, steps: int = 9) -> list[Point]:
        """Return the line of one latitude across the front, from left to right as the camera sees it."""
        middle = -turn.yaw
        return [self.spot(turn, middle + reach * (2 * at / (steps - 1) - 1), latitude) for at in range(steps)]

    def outline(self, turn: Turn, drop: float = 0.0) -> list[Point]:
        """Return the closed silhouette: the rim across the front, then over the top; drop lowers the rim's ends."""
        rim = [(x, y + drop * (abs(2 * at / 8 - 1) ** 2)) for at, (x, y) in enumerate(self.ring(turn, 0.0))]
        rx = hypot(self.rx * cos(turn.yaw), self.rz * sin(turn.yaw))
        ry = hypot(self.ry * cos(turn.pitch), self.rz * sin(turn.pitch))
        dome = [(rx * cos(pi * at / 9), self.rim - ry * sin(pi * at / 9)) for at in range(1, 9)]
        return [*rim, *dome]


@dataclass(frozen=True, slots=True)
class Pose:
    """Where the head stands in the picture.

    Args:
        x, y: the head's middle, picture widths and heights.
        unit: half the head's height, in picture heights (of a 3:4 picture; see `Pose.pixels`).
        roll: degrees, clockwise.
        turn: yaw and pitch.
        cropped: whether the top of the head falls outside the picture.
    """

    x: float
    y: float
    unit: float
    roll: float
    turn: Turn
    cropped: bool

    def pixels(self, size: tuple[int, int]) -> tuple[Point, float]:
        """Return the head's middle and its unit on a sheet of the given width and height, pixels."""
        width, height = size
        return (self.x * width, self.y * height), self.unit * min(height, width * 4 / 3)


def strike(framing: str, seed: int) -> Pose:
    """Return the pose that a seed strikes in a framing."""
    rng = stream(seed, "pose")
    (low, high), (near, far), (top, bottom) = _FRAMINGS[framing]
    unit, offset, y = rng.uniform(low, high), rng.uniform(near, far) * either(rng), rng.uniform(top, bottom)
    turn = Turn(yaw=float(np.clip(rng.normal(0.0, 0.17), -0.42, 0.42)), pitch=rng.uniform(-0.08, 0.17))
    roll = float(np.clip(rng.normal(0.0, 4.5), -13.0, 13.0))
    cropped = chance(rng, CROP_CHANCE)
    if cropped:
        y = unit * rng.uniform(0.66, 0.95)
    return Pose(0.5 + offset, y, unit, roll, turn, cropped)

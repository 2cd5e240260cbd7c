"""Position and rotation of the head, and the projection from the head's surface to the picture.

Head units: the origin is the middle of the head, at the height of the eyes; x points to the right, y down, z towards
the camera; the crown is at y = -1 and the chin at y = 1. Everything on the head is drawn in these units, which makes
the drawing independent of the picture's size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import cos, hypot, pi, sin, sqrt
from types import MappingProxyType

import numpy as np

from pipeline.renderer.paths import Point
from pipeline.renderer.random_streams import chance, random_side, stream

HEAD_DEPTH = 0.85
CROP_CHANCE = 0.05

# Framing -> ranges of: half the height of the head (picture heights), its horizontal distance from the picture's centre
# (picture widths), its distance from the top (picture heights).
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
    """Rotation of the head away from the camera, in radians: yaw to the right; positive pitch is a view from above."""

    yaw: float
    pitch: float

    def project(self, x: float, y: float, z: float) -> Point:
        """Rotate a point, then project it onto the picture plane; head units."""
        across = x * cos(self.yaw) + z * sin(self.yaw)
        depth = z * cos(self.yaw) - x * sin(self.yaw)
        return across, y * cos(self.pitch) + depth * sin(self.pitch)

    def facing(self, x: float, z: float) -> float:
        """Return how far towards the camera a point is after the yaw; negative: behind the head's axis."""
        return z * cos(self.yaw) - x * sin(self.yaw)

    def on_face(self, x: float, y: float, lift: float = 0.0) -> Point:
        """Project a point of the face; `lift` raises it off the face towards the camera, as for the tip of the nose."""
        z = HEAD_DEPTH * sqrt(max(0.02, 1.0 - (x / 0.95) ** 2 - (y / 1.35) ** 2)) + lift
        return self.project(x, y, z)

    def on_faces(self, spots: Sequence[Point]) -> list[Point]:
        """Project several points of the face."""
        return [self.on_face(x, y) for x, y in spots]


@dataclass(frozen=True, slots=True)
class Shell:
    """Upper half of an ellipsoid, for headwear: semi-axes, and the height y of its rim; head units."""

    rx: float
    ry: float
    rz: float
    rim: float

    def spot(self, turn: Turn, longitude: float, latitude: float) -> Point:
        """Project a point of the shell: longitude from the front, latitude up from the rim, in radians."""
        flat = cos(latitude)
        x, z = self.rx * flat * sin(longitude), self.rz * flat * cos(longitude)
        return turn.project(x, self.rim - self.ry * sin(latitude), z)

    def ring(self, turn: Turn, latitude: float, reach: float = pi / 2, steps: int = 9) -> list[Point]:
        """Project the line of one latitude across the front, from left to right in the picture."""
        middle = -turn.yaw
        return [self.spot(turn, middle + reach * (2 * at / (steps - 1) - 1), latitude) for at in range(steps)]

    def outline(self, turn: Turn, drop: float = 0.0) -> list[Point]:
        """Return the closed silhouette: rim across the front, then over the top; `drop` lowers the ends of the rim."""
        rim = [(x, y + drop * (abs(2 * at / 8 - 1) ** 2)) for at, (x, y) in enumerate(self.ring(turn, 0.0))]
        rx = hypot(self.rx * cos(turn.yaw), self.rz * sin(turn.yaw))
        ry = hypot(self.ry * cos(turn.pitch), self.rz * sin(turn.pitch))
        dome = [(rx * cos(pi * at / 9), self.rim - ry * sin(pi * at / 9)) for at in range(1, 9)]
        return [*rim, *dome]


@dataclass(frozen=True, slots=True)
class Pose:
    """Position and rotation of the head in the picture.

    Attributes:
        x: Middle of the head, in picture widths from the left.
        y: Middle of the head, in picture heights from the top.
        unit: Half the head's height, in picture heights (of a 3:4 picture; see `Pose.pixels`).
        roll: Degrees, clockwise.
        turn: Yaw and pitch.
        cropped: Whether the top of the head is outside the picture.
    """

    x: float
    y: float
    unit: float
    roll: float
    turn: Turn
    cropped: bool

    def pixels(self, size: tuple[int, int]) -> tuple[Point, float]:
        """Return the middle of the head and the length of a head unit, in pixels, for a (width, height)."""
        width, height = size
        return (self.x * width, self.y * height), self.unit * min(height, width * 4 / 3)


def sample_pose(framing: str, seed: int) -> Pose:
    """Sample the pose for a framing: a value of the factor `framing`."""
    rng = stream(seed, "pose")
    (low, high), (near, far), (top, bottom) = _FRAMINGS[framing]
    unit, offset, y = rng.uniform(low, high), rng.uniform(near, far) * random_side(rng), rng.uniform(top, bottom)
    turn = Turn(yaw=float(np.clip(rng.normal(0.0, 0.17), -0.42, 0.42)), pitch=rng.uniform(-0.08, 0.17))
    roll = float(np.clip(rng.normal(0.0, 4.5), -13.0, 13.0))
    cropped = chance(rng, CROP_CHANCE)
    if cropped:
        y = unit * rng.uniform(0.66, 0.95)
    return Pose(0.5 + offset, y, unit, roll, turn, cropped)

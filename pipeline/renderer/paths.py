"""Outlines for the canvas: polygons, smooth curves through points, ellipses.

A point is (x, y), x to the right, y down, in the units of the canvas at the time it is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import skia

Point = tuple[float, float]
# skia.Path; skia-python ships no type stubs.
Path = Any


@dataclass(frozen=True, slots=True)
class Disc:
    """An ellipse: centre (x, y) and semi-axes (rx, ry)."""

    x: float
    y: float
    rx: float
    ry: float


def polygon(points: Sequence[Point]) -> Path:
    """Return a closed path of straight lines."""
    path = skia.Path()
    path.moveTo(*points[0])
    for point in points[1:]:
        path.lineTo(*point)
    path.close()
    return path


def polyline(lines: Sequence[Sequence[Point]]) -> Path:
    """Return one path of several open lines, each a smooth curve through its points (Catmull-Rom)."""
    path = skia.Path()
    for points in lines:
        _curve(path, points, points[0], points[-1])
    return path


def spline(points: Sequence[Point]) -> Path:
    """Return a closed smooth curve through the points (Catmull-Rom)."""
    path = skia.Path()
    _curve(path, [*points, points[0]], points[-1], points[1])
    path.close()
    return path


def ellipse(disc: Disc) -> Path:
    """Return an ellipse as a path."""
    path = skia.Path()
    path.addOval(skia.Rect.MakeLTRB(disc.x - disc.rx, disc.y - disc.ry, disc.x + disc.rx, disc.y + disc.ry))
    return path


def ellipses(discs: Sequence[Disc]) -> Path:
    """Return several ellipses as one path."""
    path = skia.Path()
    for disc in discs:
        path.addOval(skia.Rect.MakeLTRB(disc.x - disc.rx, disc.y - disc.ry, disc.x + disc.rx, disc.y + disc.ry))
    return path


def _curve(path: Path, points: Sequence[Point], before: Point, after: Point) -> None:
    chain = [before, *points, after]
    path.moveTo(*points[0])
    for at in range(1, len(chain) - 2):
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = chain[at - 1 : at + 3]
        path.cubicTo(x1 + (x2 - x0) / 6, y1 + (y2 - y0) / 6, x2 - (x3 - x1) / 6, y2 - (y3 - y1) / 6, x2, y2)


def mirrored(half: Sequence[Point], across: float = 0.0) -> list[Point]:
    """Return an outline from its right half, mirrored about the vertical line x = `across`."""
    return [*[(across + x, y) for x, y in half], *[(across - x, y) for x, y in half[::-1]]]


EVERYWHERE: Path = polygon([(-0.1, -0.1), (1.1, -0.1), (1.1, 1.1), (-0.1, 1.1)])

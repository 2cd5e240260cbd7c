"""Chin straps: Y-shaped webbing that meets under the chin, or dangles."""

from __future__ import annotations

from pipeline.renderer.canvas import Brush
from pipeline.renderer.headwear.helmets import Helmet
from pipeline.renderer.palette import BLACK, WHITE, Colour, from_hex, luminance, mix
from pipeline.renderer.paths import Point
from pipeline.renderer.pose import Turn

_BUCKLE: Colour = from_hex("101012")


def draw_straps(brush: Brush, helmet: Helmet, turn: Turn, how: str) -> None:
    """Draw the chin straps: `fastened` meets under the chin, `loose` dangles, `none` draws nothing."""
    if how == "none":
        return
    rim = helmet.shell.rim
    edge = mix(helmet.webbing, WHITE if luminance(helmet.webbing) < 0.4 else BLACK, 0.35)
    lines: list[list[Point]] = []
    for side in (-1.0, 1.0):
        front = turn.project(side * 0.66, rim + 0.05, 0.50)
        back = turn.project(side * 0.86, rim + 0.12, -0.05)
        fork = turn.project(side * 0.72, 0.50, 0.30)
        lines += [[front, fork], [back, fork]]
        lines.append(_under_chin(turn, fork, side) if how == "fastened" else _dangle(fork, side))
    brush.lines(lines, edge, 0.095, 0.75)
    brush.lines(lines, helmet.webbing, 0.066, 1.0)
    ends = [lines[2][-1]] if how == "fastened" else [lines[2][-1], lines[5][-1]]
    for x, y in ends:
        brush.box((x - 0.085, y - 0.075, x + 0.085, y + 0.075), edge)
        brush.box((x - 0.06, y - 0.05, x + 0.06, y + 0.05), _BUCKLE)


def _under_chin(turn: Turn, fork: Point, side: float) -> list[Point]:
    x, y = turn.project(0.0, 1.05, 0.40)
    return [fork, (fork[0] * 0.72 + x * 0.28, fork[1] + 0.38), (x + side * 0.10 - 0.05, y + 0.02)]


def _dangle(fork: Point, side: float) -> list[Point]:
    return [fork, (fork[0] + side * 0.06, fork[1] + 0.35), (fork[0] + side * 0.01, fork[1] + 0.85)]

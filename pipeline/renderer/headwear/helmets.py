"""Bicycle helmets and their chin straps.

Three makes: a road helmet is long, with many vents; an urban helmet round, with few; a mountain helmet reaches deep at
the back and has a peak. All in head units (`pose`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.renderer.canvas import Canvas
from pipeline.renderer.palette import BLACK, WHITE, Colour, from_hex, luminance, mix, scale
from pipeline.renderer.paths import Disc, Point, polygon, spline
from pipeline.renderer.pose import Shell, Turn
from pipeline.renderer.random_streams import chance, pick, stream

_HOLLOW: Colour = from_hex("101012")
_FOAM: Colour = from_hex("2b2b2e")
_WEBBING: tuple[Colour, ...] = (from_hex("1c1c1f"), from_hex("35363a"), from_hex("77797d"), from_hex("d8d8d4"))
_BUCKLE: Colour = from_hex("101012")


@dataclass(frozen=True, slots=True)
class Helmet:
    """One helmet.

    Attributes:
        make: One of `HELMETS` of the vocabulary.
        shell: Shape.
        colour: Main colour.
        second: Colour of stripes and, mixed in, of the peak.
        webbing: Colour of the straps.
        gloss: 0 (matt) .. 1 (polished).
        vents: 0, 1 or 2: layout of the vents within the make.
        stripe: Whether the shell has stripes.
        peak: Whether the helmet has a peak.
    """

    make: str
    shell: Shell
    colour: Colour
    second: Colour
    webbing: Colour
    gloss: float
    vents: int
    stripe: bool
    peak: bool


def make_helmet(make: str, colour: Colour, part: str, seed: int) -> Helmet:
    """Sample a helmet of a make; `part` names the random stream, so that two helmets in one picture differ."""
    rng = stream(seed, part)
    stretch, width = rng.uniform(0.94, 1.06), rng.uniform(0.97, 1.05)
    rx, ry, rz = {
        "road_helmet": (0.88, 0.94, 1.12),
        "urban_helmet": (0.95, 0.90, 1.00),
        "mountain_helmet": (0.93, 0.90, 1.05),
    }[make]
    return Helmet(
        make=make,
        shell=Shell(rx * width, ry * stretch, rz, -0.43 + rng.uniform(-0.05, 0.05)),
        colour=colour,
        second=pick(rng, (_FOAM, scale(colour, 0.45), mix(colour, WHITE, 0.65))),
        webbing=pick(rng, _WEBBING),
        gloss=rng.uniform(0.0, 0.75),
        vents=int(rng.integers(0, 3)),
        stripe=chance(rng, 0.4),
        peak=make == "mountain_helmet" or (make == "urban_helmet" and chance(rng, 0.2)),
    )


def draw_rear(canvas: Canvas, helmet: Helmet, turn: Turn) -> None:
    """Draw the part of the shell behind the head."""
    deep = 0.42 if helmet.make == "mountain_helmet" else 0.14
    shell = helmet.shell
    x, _ = turn.project(0.0, 0.0, -0.4)
    rear = Disc(x, shell.rim + 0.02, shell.rx * 0.97, deep)
    canvas.oval(rear, scale(mix(helmet.colour, _FOAM, 0.45), 0.6))


def draw_shell(canvas: Canvas, helmet: Helmet, turn: Turn) -> None:
    """Draw the shell: stripes, vents, rim, highlight and peak."""
    shell = helmet.shell
    outline = spline(shell.outline(turn, drop=0.13 if helmet.make == "mountain_helmet" else 0.06))
    middle = Disc(0.0, shell.rim - shell.ry * 0.45, shell.rx * 1.05, shell.ry * 0.95)
    canvas.shade(outline, helmet.colour, middle, gloss=helmet.gloss * 0.5)
    with canvas.clipped_to(outline):
        _stripe(canvas, helmet, turn)
        _vents(canvas, helmet, turn)
        rim = shell.ring(turn, 0.0, reach=1.9)
        canvas.lines([[(x, y - 0.02) for x, y in rim]], _FOAM, 0.12, 1.0)
        canvas.lines([[(x, y - 0.11) for x, y in rim]], mix(helmet.colour, BLACK, 0.45), 0.03, 0.8)
        canvas.blob(
            Disc(canvas.key[0] * 0.5, shell.rim - shell.ry * 0.72, 0.30, 0.16), WHITE, 0.25 + 0.6 * helmet.gloss
        )
        away = -1.0 if canvas.key[0] > 0 else 1.0
        canvas.blob(Disc(away * shell.rx, shell.rim - 0.3, 0.5, 0.8), BLACK, 0.40)
    canvas.stroke(outline, scale(helmet.colour, 0.35), 0.025, 0.7)
    if helmet.peak:
        _peak(canvas, helmet, turn)


def draw_loose_helmet(canvas: Canvas, helmet: Helmet, turn: Turn) -> None:
    """Draw a helmet that is not worn: the hollow inside, the shell, and hanging straps."""
    shell = helmet.shell
    with canvas.placed((0.0, 0.75), 1.0):
        canvas.oval(Disc(0.0, shell.rim, shell.rx * 0.98, 0.22), _HOLLOW)
        sway = [[(s * 0.6, shell.rim), (s * 0.5, shell.rim + 0.5), (s * 0.15, shell.rim + 0.72)] for s in (-1, 1)]
        canvas.lines(sway, helmet.webbing, 0.07)
        draw_shell(canvas, helmet, turn)


def _spindle(shell: Shell, turn: Turn, at: tuple[float, float, float], width: float) -> list[Point] | None:
    """Return the outline of a vent along a meridian; `at`: longitude, low and high latitude. None: it faces away."""
    longitude, low, high = at
    if turn.facing(np.sin(longitude), np.cos(longitude)) < 0.05:
        return None
    middle = (low + high) / 2
    corners = ((0.2, low), (1.0, low * 0.6 + middle * 0.4), (0.85, middle * 0.5 + high * 0.5), (0.12, high))
    right = [shell.spot(turn, longitude + width * share, latitude) for share, latitude in corners]
    left = [shell.spot(turn, longitude - width * share, latitude) for share, latitude in corners[::-1]]
    return [*right, *left]


def _layout(helmet: Helmet) -> list[tuple[float, float, float, float]]:
    """Return the vents of a make: longitude, low and high latitude, half width; radians."""
    if helmet.make == "road_helmet":
        front = (-1.3, -0.80, -0.28, 0.28, 0.80, 1.3) if helmet.vents else (-1.1, -0.55, 0.0, 0.55, 1.1)
        crown = (-1.05, -0.52, 0.0, 0.52, 1.05) if helmet.vents else (-0.85, -0.28, 0.28, 0.85)
        return [(at, 0.17, 0.72, 0.155) for at in front] + [(at, 0.52, 1.28, 0.15) for at in crown]
    if helmet.make == "mountain_helmet":
        low = [(at, 0.48, 0.80, 0.17) for at in (-1.2, -0.42, 0.42, 1.2)]
        return (
            low
            + [(at, 0.74, 1.24, 0.20) for at in (-0.82, 0.0, 0.82)]
            + [(at, 0.16, 0.40, 0.12) for at in (-1.25, 1.25)]
        )
    if helmet.vents == 0:
        return [(at, 0.42, 0.92, 0.07) for at in (-0.55, 0.0, 0.55)]
    if helmet.vents == 1:
        return [(at, 0.52, 0.72, 0.10) for at in (-1.2, -0.6, 0.0, 0.6, 1.2)]
    return [(at, 0.75, 0.95, 0.12) for at in (-0.8, -0.27, 0.27, 0.8)] + [(at, 0.34, 0.46, 0.10) for at in (-1.1, 1.1)]


def _vents(canvas: Canvas, helmet: Helmet, turn: Turn) -> None:
    for longitude, low, high, width in _layout(helmet):
        corners = _spindle(helmet.shell, turn, (longitude, low, high), width)
        if corners is None:
            continue
        vent = polygon(corners) if helmet.make == "mountain_helmet" else spline(corners)
        canvas.fill(vent, _HOLLOW if luminance(helmet.colour) > 0.16 else (0.015, 0.015, 0.015))
        canvas.stroke(vent, scale(helmet.colour, 0.45), 0.035, 0.8)


def _stripe(canvas: Canvas, helmet: Helmet, turn: Turn) -> None:
    if helmet.make == "urban_helmet" and helmet.stripe:
        canvas.lines([helmet.shell.ring(turn, 0.24, reach=1.8)], helmet.second, 0.16, 0.95)
    elif helmet.stripe:
        for longitude in (-0.52, 0.52):
            arc = [helmet.shell.spot(turn, longitude, latitude) for latitude in (0.05, 0.6, 1.0, 1.4)]
            canvas.lines([arc], helmet.second, 0.13, 0.95)


def _peak(canvas: Canvas, helmet: Helmet, turn: Turn) -> None:
    shell, long = helmet.shell, 0.52 if helmet.make == "mountain_helmet" else 0.22
    reach = np.linspace(-0.95, 0.95, 7)
    root = [shell.spot(turn, angle, 0.40) for angle in reach]
    lip = [
        turn.project(
            shell.rx * 1.08 * np.sin(angle), shell.rim - 0.16, shell.rz * np.cos(angle) + long * np.cos(angle * 0.9)
        )
        for angle in reach
    ]
    lip = [(x, y + 0.10 + 0.04 * long) for x, y in lip]
    plate = spline([*root, *lip[::-1]])
    canvas.fill(spline([(x, y + 0.05) for x, y in [*root, *lip[::-1]]]), _FOAM)
    canvas.shade(
        plate,
        mix(helmet.second, helmet.colour, 0.25),
        Disc(root[3][0], root[3][1], 0.75, 0.3),
        gloss=helmet.gloss * 0.4,
    )
    canvas.lines([lip], mix(helmet.colour, WHITE, 0.4), 0.03, 0.8)


def draw_straps(canvas: Canvas, helmet: Helmet, turn: Turn, straps: str) -> None:
    """Draw Y-shaped chin straps: `fastened` under the chin, `loose` hanging, or `none`."""
    if straps == "none":
        return
    rim = helmet.shell.rim
    edge = mix(helmet.webbing, WHITE if luminance(helmet.webbing) < 0.4 else BLACK, 0.35)
    lines: list[list[Point]] = []
    for side in (-1.0, 1.0):
        front = turn.project(side * 0.66, rim + 0.05, 0.50)
        back = turn.project(side * 0.86, rim + 0.12, -0.05)
        fork = turn.project(side * 0.72, 0.50, 0.30)
        lines += [[front, fork], [back, fork]]
        lines.append(_under_chin(turn, fork, side) if straps == "fastened" else _dangle(fork, side))
    canvas.lines(lines, edge, 0.095, 0.75)
    canvas.lines(lines, helmet.webbing, 0.066, 1.0)
    ends = [lines[2][-1]] if straps == "fastened" else [lines[2][-1], lines[5][-1]]
    for x, y in ends:
        canvas.box((x - 0.085, y - 0.075, x + 0.085, y + 0.075), edge)
        canvas.box((x - 0.06, y - 0.05, x + 0.06, y + 0.05), _BUCKLE)


def _under_chin(turn: Turn, fork: Point, side: float) -> list[Point]:
    x, y = turn.project(0.0, 1.05, 0.40)
    return [fork, (fork[0] * 0.72 + x * 0.28, fork[1] + 0.38), (x + side * 0.10 - 0.05, y + 0.02)]


def _dangle(fork: Point, side: float) -> list[Point]:
    return [fork, (fork[0] + side * 0.06, fork[1] + 0.35), (fork[0] + side * 0.01, fork[1] + 0.85)]

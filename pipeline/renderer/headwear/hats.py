"""Hats that come close enough to a helmet to be confused with one: caps, brims, beanies; and the shadow they throw."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, sin

import numpy as np

from pipeline.renderer.canvas import Brush
from pipeline.renderer.palette import BLACK, WHITE, Colour, scale
from pipeline.renderer.paths import Disc, ellipse, spline
from pipeline.renderer.pose import Shell, Turn


@dataclass(frozen=True, slots=True)
class Hat:
    """One piece of headwear that is no helmet: colours, finish from 0 (wool) to 1 (lacquer), height, details."""

    kind: str
    colour: Colour
    second: Colour
    gloss: float
    height: float
    detail: int
    plain: bool


def cast_shadow(brush: Brush, turn: Turn, shell: Shell) -> None:
    """Draw the shadow that a rim throws on the forehead."""
    x, y = turn.project(0.0, shell.rim, shell.rz)
    brush.blob(Disc(x * 0.5, y + 0.06, 0.75, 0.22), BLACK, 0.55)


def draw_cap(brush: Brush, hat: Hat, turn: Turn) -> None:
    """Draw a cap: panels, eyelets, badge and bill."""
    shell = Shell(0.82, 0.72 + 0.12 * hat.height, 0.95, -0.44)
    cast_shadow(brush, turn, shell)
    dome = spline(shell.outline(turn, drop=0.14))
    brush.shade(dome, hat.colour, Disc(0.0, shell.rim - 0.35, 0.9, 0.72), gloss=hat.gloss * 0.5)
    with brush.inside(dome):
        seams = [[shell.spot(turn, longitude, at) for at in (0.0, 0.7, 1.5)] for longitude in (-1.05, 0.0, 1.05)]
        brush.lines(seams, scale(hat.colour, 0.55), 0.028, 0.8)
        if hat.detail == 0:
            badge = shell.spot(turn, 0.0, 0.55)
            brush.oval(Disc(*badge, 0.20, 0.15), hat.second, 0.95)
        eyelets = [shell.spot(turn, longitude, 0.95) for longitude in (-0.6, 0.6)]
        for x, y in eyelets:
            brush.oval(Disc(x, y, 0.035, 0.03), scale(hat.colour, 0.3))
        _sheen(brush, shell, hat.gloss)
    brush.oval(Disc(*shell.spot(turn, 0.0, 1.5), 0.06, 0.035), scale(hat.colour, 0.7))
    _bill(brush, hat, turn, shell)


def _bill(brush: Brush, hat: Hat, turn: Turn, shell: Shell) -> None:
    if hat.detail == 2 and hat.plain:
        return  # worn back to front: the bill is behind the head
    reach = np.linspace(-1.0, 1.0, 7)
    root = [shell.spot(turn, angle, 0.08) for angle in reach]
    lip = [
        turn.project(shell.rx * 1.04 * sin(angle), shell.rim + 0.02, 0.95 * cos(angle) + 0.66 * cos(angle * 1.2))
        for angle in reach
    ]
    lip = [(x, y + (0.33 - 0.10 * hat.height) * cos(angle * 1.15)) for (x, y), angle in zip(lip, reach, strict=True)]
    colour = hat.colour if hat.plain else hat.second
    brush.blob(Disc(lip[3][0], lip[3][1] + 0.08, 0.7, 0.2), BLACK, 0.5)
    brush.fill(spline([(x, y + 0.045) for x, y in [*root, *lip[::-1]]]), scale(colour, 0.35))
    brush.shade(
        spline([*root, *lip[::-1]]),
        scale(colour, 0.92),
        Disc(root[3][0], root[3][1], 0.85, 0.35),
        gloss=hat.gloss * 0.3,
    )


def _sheen(brush: Brush, shell: Shell, gloss: float) -> None:
    if gloss:
        brush.blob(Disc(brush.key[0] * 0.5, shell.rim - shell.ry * 0.72, 0.30, 0.15), WHITE, 0.2 + 0.5 * gloss)


def draw_brim_hat(brush: Brush, hat: Hat, turn: Turn) -> None:
    """Draw a hat with a brim all round."""
    x, y = turn.project(0.0, -0.55, 0.1)
    wide, tall = 1.32 + 0.35 * hat.height, 0.20 + max(0.0, turn.pitch) * 0.9
    brush.blob(Disc(0.0, y + 0.22, 0.9, 0.36), BLACK, 0.6)
    brush.oval(Disc(x, y + 0.05, wide, tall), scale(hat.colour, 0.42))
    brush.shade(ellipse(Disc(x, y, wide, tall)), scale(hat.colour, 0.9), Disc(x, y, wide, tall * 2))
    top = -1.25 - 0.12 * hat.height
    crown = spline(
        [
            (x - 0.76, y + 0.04),
            (x - 0.70, -0.95),
            (x - 0.45, top),
            (x, top + 0.08),
            (x + 0.45, top),
            (x + 0.70, -0.95),
            (x + 0.76, y + 0.04),
            (x, y + 0.13),
        ]
    )
    brush.shade(crown, hat.colour, Disc(x, -0.85, 0.85, 0.6))
    with brush.inside(crown):
        brush.lines([[(x - 0.8, y - 0.10), (x, y + 0.0), (x + 0.8, y - 0.10)]], hat.second, 0.17, 0.95)
        brush.blob(Disc(x, top + 0.12, 0.3, 0.14), BLACK, 0.35)


def draw_beanie(brush: Brush, hat: Hat, turn: Turn) -> None:
    """Draw a knitted beanie, or a smooth tight one."""
    hard = hat.plain  # a smooth, tight, round one: easily taken for an urban helmet
    shell = Shell(0.86 if hard else 0.83, 0.84 if hard else 0.80 + 0.28 * hat.height, 0.95, -0.42)
    cast_shadow(brush, turn, shell)
    dome = spline(shell.outline(turn, drop=0.12))
    brush.shade(dome, hat.colour, Disc(0.0, shell.rim - 0.35, 0.92, 0.8), gloss=0.2 if hard else 0.0)
    with brush.inside(dome):
        if not hard:
            ribs = [
                [shell.spot(turn, longitude, at) for at in (0.0, 0.6, 1.1, 1.5)]
                for longitude in np.linspace(-1.4, 1.4, 15)
            ]
            brush.lines(ribs, scale(hat.colour, 0.62), 0.035, 0.6)
        if hat.detail == 1:
            brush.lines([shell.ring(turn, 0.55, reach=1.8)], hat.second, 0.14, 0.9)
        if hat.detail != 2 or not hard:
            brush.lines([shell.ring(turn, 0.10, reach=1.9)], scale(hat.colour, 0.86), 0.30, 1.0)
            brush.lines([shell.ring(turn, 0.27, reach=1.9)], scale(hat.colour, 0.5), 0.035, 0.8)
    if hat.detail == 0 and not hard:
        bobble = Disc(shell.spot(turn, 0.0, 1.5)[0], shell.rim - shell.ry - 0.1, 0.20, 0.19)
        brush.shade(ellipse(bobble), hat.second, bobble)

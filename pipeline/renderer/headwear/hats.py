"""Hats."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, sin

import numpy as np

from pipeline.renderer.canvas import Brush
from pipeline.renderer.palette import BLACK, WHITE, Colour, mix, scale
from pipeline.renderer.paths import Disc, Point, ellipse, mirrored, spline
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


def draw_hood_behind(brush: Brush, hat: Hat, turn: Turn) -> None:
    """Draw the back of a hood."""
    x, peak = sin(turn.yaw) * -0.15, -1.22 - 0.14 * hat.height
    half = [(0.62, -1.02), (1.0, -0.4), (1.06, 0.4), (0.95, 1.1), (1.15, 1.75)]
    shape = spline([(x, peak), *mirrored(half, x)])
    brush.shade(shape, hat.colour, Disc(x, -0.1, 1.1, 1.5), gloss=hat.gloss * 0.2)
    inner = ellipse(Disc(sin(turn.yaw) * 0.1, 0.1, 0.92, 1.12))
    brush.fill(inner, scale(hat.colour, 0.30))


def draw_hood(brush: Brush, hat: Hat, turn: Turn) -> None:
    """Draw a hood around the face."""
    lean = sin(turn.yaw) * 0.22
    rim = [
        (lean * 0.6, -0.80),
        (0.50 + lean, -0.62),
        (0.74 + lean, -0.1),
        (0.72 + lean, 0.5),
        (0.48 + lean, 0.98),
        (0.10 + lean, 1.22),
    ]
    outer = [
        (0.05, 1.75),
        (0.8, 1.85),
        (1.35, 1.62),
        (1.08, 1.05),
        (1.04, 0.4),
        (0.99, -0.45),
        (0.62, -1.04),
        (0.0, -1.22 - 0.14 * hat.height),
    ]
    for side in (-1.0, 1.0):
        inner = [(side * (x - lean) + lean, y) for x, y in rim]
        flap = spline([*inner, *[(side * x, y) for x, y in outer]])
        brush.shade(flap, hat.colour, Disc(side * 0.5, 0.0, 0.95, 1.5), gloss=hat.gloss * 0.25)
        brush.lines([[(x + side * 0.05, y) for x, y in inner]], scale(hat.colour, 0.55), 0.05, 0.8)
    folds = [[(s * 0.86, -0.5), (s * 0.92, 0.1), (s * 0.85, 0.8)] for s in (-1, 1)]
    brush.lines([*folds, [(0.0, -1.2), (lean * 0.5, -0.95)]], scale(hat.colour, 0.6), 0.05, 0.6)
    brush.blob(Disc(lean, -0.66, 0.6, 0.24), BLACK, 0.6)


def draw_scarf_behind(brush: Brush, hat: Hat, turn: Turn) -> None:
    """Draw the back of a headscarf."""
    half = [(0.62, -0.98), (0.92, -0.3), (0.95, 0.5), (1.05, 1.2), (1.3, 1.9), (0.4, 2.5)]
    shape = spline([(0.0, -1.16), *mirrored(half, sin(turn.yaw) * -0.06)])
    brush.shade(shape, scale(hat.colour, 0.85), Disc(0.0, 0.4, 1.1, 1.8))


def draw_headscarf(brush: Brush, hat: Hat, turn: Turn) -> None:
    """Draw a headscarf around face and neck."""
    lean, nod = sin(turn.yaw) * 0.26, turn.pitch * 0.4
    oval = [(0.0, -0.62), (0.42, -0.52), (0.64, -0.1), (0.60, 0.42), (0.36, 0.88), (0.0, 1.04)]
    face = [(x + lean, y + nod) for x, y in oval] + [(-x + lean, y + nod) for x, y in oval[-2:0:-1]]
    outer = [
        (0.0, -1.17),
        (0.60, -0.99),
        (0.91, -0.35),
        (0.93, 0.4),
        (0.82, 1.05),
        (1.12, 1.75),
        (0.2, 2.35),
        (-0.9, 1.95),
        (-0.82, 1.05),
        (-0.93, 0.4),
        (-0.91, -0.35),
        (-0.60, -0.99),
    ]
    cloth = spline(outer)
    cloth.addPath(spline(face[::-1]))
    brush.shade(cloth, hat.colour, Disc(0.0, 0.2, 1.15, 1.6), gloss=hat.gloss * 0.2)
    folds = [
        [(lean - 0.60, 0.5), (-0.2, 1.2), (0.6, 1.5)],
        [(-0.8, 0.9), (-0.1, 1.55), (0.8, 1.75)],
        [(0.75, -0.6), (0.82, 0.2), (0.6, 0.9)],
        [(-0.78, -0.55), (-0.82, 0.2), (-0.7, 0.8)],
    ]
    brush.lines(folds, scale(hat.colour, 0.55), 0.06, 0.6)
    if hat.detail == 1:
        brush.lines([[(-0.5, -0.62 + nod), (lean, -0.72 + nod), (0.5, -0.62 + nod)]], hat.second, 0.09, 0.9)


def draw_turban(brush: Brush, hat: Hat, turn: Turn) -> None:
    """Draw a turban of many wraps."""
    cast_shadow(brush, turn, Shell(0.95, 0.90, 0.85, -0.42))
    side, lean, top = (1.0 if hat.detail else -1.0), sin(turn.yaw) * 0.25, -1.30 - 0.14 * hat.height
    half = [(0.80, -0.20), (0.99, -0.52), (0.97, -0.86), (0.66, top + 0.16)]
    front = [(-0.30 + lean, -0.42), (lean, -0.56), (0.30 + lean, -0.42)]
    dome = spline(
        [
            *[(x, y - 0.05 * side) for x, y in half],
            (-side * 0.1, top),
            *[(-x, y + 0.03 * side) for x, y in half[::-1]],
            *front,
        ]
    )
    brush.shade(dome, hat.colour, Disc(0.0, -0.8, 1.0, 0.8), gloss=hat.gloss * 0.15)
    with brush.inside(dome):
        wraps: list[list[Point]] = []
        for step in range(5):
            low = -0.26 - (0.16 + 0.03 * hat.height) * step
            wraps.append([(-side * 0.98, low + 0.02), (0.0, low - 0.30), (side * 0.25, low - 0.42 - 0.05 * step)])
            wraps.append([(side * 0.98, low + 0.02), (side * 0.3, low - 0.18), (-side * 0.12, low - 0.38)])
        brush.lines(wraps, scale(hat.colour, 0.5), 0.045, 0.8)
        brush.lines([[(x, y + 0.05) for x, y in wrap] for wrap in wraps], mix(hat.colour, WHITE, 0.3), 0.03, 0.5)
        brush.blob(Disc(-brush.key[0] * 0.9, -0.6, 0.5, 0.8), BLACK, 0.35)

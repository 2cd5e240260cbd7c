"""Headwear that a classifier may confuse with a helmet: cap, brim hat, beanie, hood, headscarf, turban."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, sin

import numpy as np

from pipeline.renderer.canvas import Canvas
from pipeline.renderer.palette import BLACK, WHITE, Colour, mix, scale
from pipeline.renderer.paths import Disc, Point, ellipse, mirrored, spline
from pipeline.renderer.pose import Shell, Turn


@dataclass(frozen=True, slots=True)
class Hat:
    """Headwear that is not a helmet.

    Attributes:
        kind: A value of the factor `headwear`.
        colour: Main colour.
        second: Colour of badge, band or bobble.
        gloss: 0 (wool) .. 1 (lacquer).
        height: 0 (flat) .. 1 (tall).
        detail: 0, 1 or 2; its meaning depends on the kind, e.g. badge or band.
        plain: Cap: the bill has the main colour, and is behind the head if detail is 2. Beanie: smooth and tight, which
            resembles an urban helmet; otherwise knitted.
    """

    kind: str
    colour: Colour
    second: Colour
    gloss: float
    height: float
    detail: int
    plain: bool


def cast_shadow(canvas: Canvas, turn: Turn, shell: Shell) -> None:
    """Draw the shadow of a rim on the forehead."""
    x, y = turn.project(0.0, shell.rim, shell.rz)
    canvas.blob(Disc(x * 0.5, y + 0.06, 0.75, 0.22), BLACK, 0.55)


def draw_cap(canvas: Canvas, hat: Hat, turn: Turn) -> None:
    """Draw a cap: panels, eyelets, badge and bill."""
    shell = Shell(0.82, 0.72 + 0.12 * hat.height, 0.95, -0.44)
    cast_shadow(canvas, turn, shell)
    dome = spline(shell.outline(turn, drop=0.14))
    canvas.shade(dome, hat.colour, Disc(0.0, shell.rim - 0.35, 0.9, 0.72), gloss=hat.gloss * 0.5)
    with canvas.clipped_to(dome):
        seams = [[shell.spot(turn, longitude, at) for at in (0.0, 0.7, 1.5)] for longitude in (-1.05, 0.0, 1.05)]
        canvas.lines(seams, scale(hat.colour, 0.55), 0.028, 0.8)
        if hat.detail == 0:
            badge = shell.spot(turn, 0.0, 0.55)
            canvas.oval(Disc(*badge, 0.20, 0.15), hat.second, 0.95)
        eyelets = [shell.spot(turn, longitude, 0.95) for longitude in (-0.6, 0.6)]
        for x, y in eyelets:
            canvas.oval(Disc(x, y, 0.035, 0.03), scale(hat.colour, 0.3))
        _sheen(canvas, shell, hat.gloss)
    canvas.oval(Disc(*shell.spot(turn, 0.0, 1.5), 0.06, 0.035), scale(hat.colour, 0.7))
    _bill(canvas, hat, turn, shell)


def _bill(canvas: Canvas, hat: Hat, turn: Turn, shell: Shell) -> None:
    if hat.detail == 2 and hat.plain:
        return  # worn backwards: the bill is behind the head
    reach = np.linspace(-1.0, 1.0, 7)
    root = [shell.spot(turn, angle, 0.08) for angle in reach]
    lip = [
        turn.project(shell.rx * 1.04 * sin(angle), shell.rim + 0.02, 0.95 * cos(angle) + 0.66 * cos(angle * 1.2))
        for angle in reach
    ]
    lip = [(x, y + (0.33 - 0.10 * hat.height) * cos(angle * 1.15)) for (x, y), angle in zip(lip, reach, strict=True)]
    colour = hat.colour if hat.plain else hat.second
    canvas.blob(Disc(lip[3][0], lip[3][1] + 0.08, 0.7, 0.2), BLACK, 0.5)
    canvas.fill(spline([(x, y + 0.045) for x, y in [*root, *lip[::-1]]]), scale(colour, 0.35))
    canvas.shade(
        spline([*root, *lip[::-1]]),
        scale(colour, 0.92),
        Disc(root[3][0], root[3][1], 0.85, 0.35),
        gloss=hat.gloss * 0.3,
    )


def _sheen(canvas: Canvas, shell: Shell, gloss: float) -> None:
    if gloss:
        canvas.blob(Disc(canvas.key[0] * 0.5, shell.rim - shell.ry * 0.72, 0.30, 0.15), WHITE, 0.2 + 0.5 * gloss)


def draw_brim_hat(canvas: Canvas, hat: Hat, turn: Turn) -> None:
    """Draw a hat with a brim all around."""
    x, y = turn.project(0.0, -0.55, 0.1)
    wide, tall = 1.32 + 0.35 * hat.height, 0.20 + max(0.0, turn.pitch) * 0.9
    canvas.blob(Disc(0.0, y + 0.22, 0.9, 0.36), BLACK, 0.6)
    canvas.oval(Disc(x, y + 0.05, wide, tall), scale(hat.colour, 0.42))
    canvas.shade(ellipse(Disc(x, y, wide, tall)), scale(hat.colour, 0.9), Disc(x, y, wide, tall * 2))
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
    canvas.shade(crown, hat.colour, Disc(x, -0.85, 0.85, 0.6))
    with canvas.clipped_to(crown):
        canvas.lines([[(x - 0.8, y - 0.10), (x, y + 0.0), (x + 0.8, y - 0.10)]], hat.second, 0.17, 0.95)
        canvas.blob(Disc(x, top + 0.12, 0.3, 0.14), BLACK, 0.35)


def draw_beanie(canvas: Canvas, hat: Hat, turn: Turn) -> None:
    """Draw a beanie: knitted, or smooth and tight."""
    hard = hat.plain
    shell = Shell(0.86 if hard else 0.83, 0.84 if hard else 0.80 + 0.28 * hat.height, 0.95, -0.42)
    cast_shadow(canvas, turn, shell)
    dome = spline(shell.outline(turn, drop=0.12))
    canvas.shade(dome, hat.colour, Disc(0.0, shell.rim - 0.35, 0.92, 0.8), gloss=0.2 if hard else 0.0)
    with canvas.clipped_to(dome):
        if not hard:
            ribs = [
                [shell.spot(turn, longitude, at) for at in (0.0, 0.6, 1.1, 1.5)]
                for longitude in np.linspace(-1.4, 1.4, 15)
            ]
            canvas.lines(ribs, scale(hat.colour, 0.62), 0.035, 0.6)
        if hat.detail == 1:
            canvas.lines([shell.ring(turn, 0.55, reach=1.8)], hat.second, 0.14, 0.9)
        if hat.detail != 2 or not hard:
            canvas.lines([shell.ring(turn, 0.10, reach=1.9)], scale(hat.colour, 0.86), 0.30, 1.0)
            canvas.lines([shell.ring(turn, 0.27, reach=1.9)], scale(hat.colour, 0.5), 0.035, 0.8)
    if hat.detail == 0 and not hard:
        bobble = Disc(shell.spot(turn, 0.0, 1.5)[0], shell.rim - shell.ry - 0.1, 0.20, 0.19)
        canvas.shade(ellipse(bobble), hat.second, bobble)


def draw_hood_behind(canvas: Canvas, hat: Hat, turn: Turn) -> None:
    """Draw the back of a hood."""
    x, peak = sin(turn.yaw) * -0.15, -1.22 - 0.14 * hat.height
    half = [(0.62, -1.02), (1.0, -0.4), (1.06, 0.4), (0.95, 1.1), (1.15, 1.75)]
    shape = spline([(x, peak), *mirrored(half, x)])
    canvas.shade(shape, hat.colour, Disc(x, -0.1, 1.1, 1.5), gloss=hat.gloss * 0.2)
    inner = ellipse(Disc(sin(turn.yaw) * 0.1, 0.1, 0.92, 1.12))
    canvas.fill(inner, scale(hat.colour, 0.30))


def draw_hood(canvas: Canvas, hat: Hat, turn: Turn) -> None:
    """Draw a hood around the face."""
    shift = sin(turn.yaw) * 0.22
    rim = [
        (shift * 0.6, -0.80),
        (0.50 + shift, -0.62),
        (0.74 + shift, -0.1),
        (0.72 + shift, 0.5),
        (0.48 + shift, 0.98),
        (0.10 + shift, 1.22),
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
        inner = [(side * (x - shift) + shift, y) for x, y in rim]
        flap = spline([*inner, *[(side * x, y) for x, y in outer]])
        canvas.shade(flap, hat.colour, Disc(side * 0.5, 0.0, 0.95, 1.5), gloss=hat.gloss * 0.25)
        canvas.lines([[(x + side * 0.05, y) for x, y in inner]], scale(hat.colour, 0.55), 0.05, 0.8)
    folds = [[(s * 0.86, -0.5), (s * 0.92, 0.1), (s * 0.85, 0.8)] for s in (-1, 1)]
    canvas.lines([*folds, [(0.0, -1.2), (shift * 0.5, -0.95)]], scale(hat.colour, 0.6), 0.05, 0.6)
    canvas.blob(Disc(shift, -0.66, 0.6, 0.24), BLACK, 0.6)


def draw_scarf_behind(canvas: Canvas, hat: Hat, turn: Turn) -> None:
    """Draw the back of a headscarf."""
    half = [(0.62, -0.98), (0.92, -0.3), (0.95, 0.5), (1.05, 1.2), (1.3, 1.9), (0.4, 2.5)]
    shape = spline([(0.0, -1.16), *mirrored(half, sin(turn.yaw) * -0.06)])
    canvas.shade(shape, scale(hat.colour, 0.85), Disc(0.0, 0.4, 1.1, 1.8))


def draw_headscarf(canvas: Canvas, hat: Hat, turn: Turn) -> None:
    """Draw a headscarf around face and neck."""
    shift, nod = sin(turn.yaw) * 0.26, turn.pitch * 0.4
    oval = [(0.0, -0.62), (0.42, -0.52), (0.64, -0.1), (0.60, 0.42), (0.36, 0.88), (0.0, 1.04)]
    face = [(x + shift, y + nod) for x, y in oval] + [(-x + shift, y + nod) for x, y in oval[-2:0:-1]]
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
    canvas.shade(cloth, hat.colour, Disc(0.0, 0.2, 1.15, 1.6), gloss=hat.gloss * 0.2)
    folds = [
        [(shift - 0.60, 0.5), (-0.2, 1.2), (0.6, 1.5)],
        [(-0.8, 0.9), (-0.1, 1.55), (0.8, 1.75)],
        [(0.75, -0.6), (0.82, 0.2), (0.6, 0.9)],
        [(-0.78, -0.55), (-0.82, 0.2), (-0.7, 0.8)],
    ]
    canvas.lines(folds, scale(hat.colour, 0.55), 0.06, 0.6)
    if hat.detail == 1:
        canvas.lines([[(-0.5, -0.62 + nod), (shift, -0.72 + nod), (0.5, -0.62 + nod)]], hat.second, 0.09, 0.9)


def draw_turban(canvas: Canvas, hat: Hat, turn: Turn) -> None:
    """Draw a turban of ten folds."""
    cast_shadow(canvas, turn, Shell(0.95, 0.90, 0.85, -0.42))
    side, shift, top = (1.0 if hat.detail else -1.0), sin(turn.yaw) * 0.25, -1.30 - 0.14 * hat.height
    half = [(0.80, -0.20), (0.99, -0.52), (0.97, -0.86), (0.66, top + 0.16)]
    front = [(-0.30 + shift, -0.42), (shift, -0.56), (0.30 + shift, -0.42)]
    dome = spline(
        [
            *[(x, y - 0.05 * side) for x, y in half],
            (-side * 0.1, top),
            *[(-x, y + 0.03 * side) for x, y in half[::-1]],
            *front,
        ]
    )
    canvas.shade(dome, hat.colour, Disc(0.0, -0.8, 1.0, 0.8), gloss=hat.gloss * 0.15)
    with canvas.clipped_to(dome):
        wraps: list[list[Point]] = []
        for step in range(5):
            low = -0.26 - (0.16 + 0.03 * hat.height) * step
            wraps.append([(-side * 0.98, low + 0.02), (0.0, low - 0.30), (side * 0.25, low - 0.42 - 0.05 * step)])
            wraps.append([(side * 0.98, low + 0.02), (side * 0.3, low - 0.18), (-side * 0.12, low - 0.38)])
        canvas.lines(wraps, scale(hat.colour, 0.5), 0.045, 0.8)
        canvas.lines([[(x, y + 0.05) for x, y in wrap] for wrap in wraps], mix(hat.colour, WHITE, 0.3), 0.03, 0.5)
        canvas.blob(Disc(-canvas.key[0] * 0.9, -0.6, 0.5, 0.8), BLACK, 0.35)

"""Four outdoor places, each drawn in a unit square (x to the right, y down)."""

from __future__ import annotations

import numpy as np

from pipeline.renderer.canvas import Canvas
from pipeline.renderer.palette import GOODS, WHITE, Colour, from_hex, jitter, mix, scale
from pipeline.renderer.paths import EVERYWHERE, Disc, Point, ellipses, polygon, spline
from pipeline.renderer.random_streams import chance, pick

Rng = np.random.Generator
_LEAVES: tuple[Colour, ...] = tuple(from_hex(code) for code in ("3f6b2f", "567f38", "2f5a33", "79934a", "a0803a"))
_WALLS: tuple[Colour, ...] = tuple(
    from_hex(code) for code in ("a3775c", "b9ab98", "8a8f96", "c9b79a", "7d5a4a", "d9d4c8")
)


def draw_street(canvas: Canvas, rng: Rng) -> None:
    """Draw a street: houses with windows, a road, sometimes a car."""
    _sky(canvas, rng, 0.6)
    x, horizon = -0.1, rng.uniform(0.55, 0.68)
    while x < 1.05:
        width, top = rng.uniform(0.18, 0.42), rng.uniform(-0.05, 0.35)
        wall = jitter(rng, pick(rng, _WALLS), 0.05)
        canvas.box((x, top, x + width, horizon + 0.05), wall)
        pane = mix(from_hex("3a4650"), WHITE, rng.uniform(0.0, 0.5))
        step = rng.uniform(0.07, 0.11)
        for row in range(int((horizon - top) / 0.11)):
            for column in range(int(width / step)):
                at, y = x + 0.02 + column * step, top + 0.04 + row * 0.11
                canvas.box((at, y, at + step * 0.55, y + 0.065), pane)
        x += width
    _ground(canvas, jitter(rng, from_hex("6e6e70"), 0.04), horizon)
    canvas.lines([[(0.5, horizon), (rng.uniform(-0.2, 1.2), 1.1)]], WHITE, 0.02, 0.6)
    if chance(rng, 0.6):
        car, at = jitter(rng, pick(rng, GOODS), 0.05), rng.uniform(-0.1, 0.8)
        canvas.fill(
            spline([(at, horizon + 0.08), (at + 0.05, horizon), (at + 0.25, horizon), (at + 0.32, horizon + 0.08)]), car
        )
        canvas.box((at + 0.06, horizon - 0.02, at + 0.24, horizon + 0.03), from_hex("27323a"))


def draw_park(canvas: Canvas, rng: Rng) -> None:
    """Draw a park: sky, trees, a lawn and a path."""
    horizon = rng.uniform(0.48, 0.62)
    _sky(canvas, rng, horizon)
    _foliage(canvas, rng, (-0.1, horizon - 0.30, 1.1, horizon), 24)
    _ground(canvas, jitter(rng, from_hex("6d9a45"), 0.06), horizon)
    if chance(rng, 0.6):
        x = rng.uniform(0.0, 1.0)
        canvas.fill(polygon([(x, horizon), (x + 0.06, horizon), (x + 0.5, 1.1), (x - 0.2, 1.1)]), from_hex("c9b690"))
    for _ in range(int(rng.integers(1, 3))):
        x = rng.uniform(0.0, 1.0)
        canvas.box((x, horizon - 0.3, x + rng.uniform(0.03, 0.06), horizon + 0.08), from_hex("54412f"))
        _foliage(canvas, rng, (x - 0.16, -0.05, x + 0.2, horizon - 0.2), 12)


def draw_bridge(canvas: Canvas, rng: Rng) -> None:
    """Draw a bridge over water: tower, cables, railing."""
    horizon = rng.uniform(0.42, 0.55)
    _sky(canvas, rng, horizon)
    hills: list[Point] = [
        (-0.1, horizon),
        (0.1, horizon - 0.07),
        (0.4, horizon - 0.03),
        (0.7, horizon - 0.1),
        (1.1, horizon - 0.02),
        (1.1, horizon + 0.05),
        (-0.1, horizon + 0.05),
    ]
    canvas.fill(polygon(hills), jitter(rng, from_hex("6b7f86"), 0.05))
    canvas.gradient(
        polygon([(-0.1, horizon), (1.1, horizon), (1.1, 1.1), (-0.1, 1.1)]),
        ((0.0, horizon), (0.0, 1.0)),
        (from_hex("8fb0bf"), from_hex("4c6f80")),
        (1.0, 1.0),
    )
    steel = jitter(
        rng, pick(rng, (from_hex("8c3b2c"), from_hex("5f6a70"), from_hex("3b5563"), from_hex("b9bcb8"))), 0.04
    )
    tower = rng.uniform(0.05, 0.95)
    canvas.box((tower - 0.035, -0.1, tower + 0.035, 0.75), steel)
    cables = [[(tower, 0.0), (tower + s * 0.15 * k, 0.72)] for s in (-1, 1) for k in range(1, 7)]
    canvas.lines(cables, steel, 0.012, 0.9)
    deck = rng.uniform(0.70, 0.78)
    canvas.box((-0.1, deck, 1.1, deck + 0.03), steel)
    canvas.box((-0.1, deck + 0.14, 1.1, 1.1), from_hex("77787a"))
    canvas.lines([[(x / 12, deck), (x / 12, deck + 0.15)] for x in range(-1, 14)], steel, 0.014)


def draw_forest(canvas: Canvas, rng: Rng) -> None:
    """Draw a forest: trunks in depth, leaves, sunlit spots."""
    deep = jitter(rng, from_hex("2f4a2e"), 0.06)
    canvas.gradient(
        EVERYWHERE, ((0.0, 0.0), (0.0, 1.0)), (mix(deep, from_hex("c8d8a0"), 0.5), scale(deep, 0.7)), (1.0, 1.0)
    )
    _foliage(canvas, rng, (-0.1, 0.0, 1.1, 0.75), 26)
    for depth in (0.55, 0.8, 1.0):
        for _ in range(int(rng.integers(2, 5))):
            x, width = rng.uniform(-0.05, 1.0), rng.uniform(0.03, 0.07) * depth * 1.4
            bark = mix(from_hex("8fa08a"), jitter(rng, from_hex("42342a"), 0.04), depth)
            tilt = rng.uniform(-0.04, 0.04)
            canvas.fill(
                polygon(
                    [
                        (x + tilt, -0.1),
                        (x + tilt + width * 0.8, -0.1),
                        (x + width, 0.62 + 0.2 * depth),
                        (x - width * 0.1, 0.62 + 0.2 * depth),
                    ]
                ),
                bark,
            )
    for x, y in rng.uniform((0.0, 0.0), (1.0, 0.6), (7, 2)):
        canvas.blob(Disc(float(x), float(y), 0.07, 0.055), from_hex("f2f4c8"), 0.6)
    _ground(canvas, jitter(rng, from_hex("5a4a30"), 0.05), 0.80)


def _sky(canvas: Canvas, rng: Rng, horizon: float) -> None:
    top = jitter(rng, pick(rng, (from_hex("6f9fd4"), from_hex("9db8cf"), from_hex("c3ccd3"), from_hex("5f8fc4"))), 0.04)
    canvas.gradient(EVERYWHERE, ((0.0, 0.0), (0.0, horizon)), (top, mix(top, WHITE, 0.65)), (1.0, 1.0))
    for _ in range(int(rng.integers(0, 4))):
        canvas.blob(Disc(rng.uniform(0, 1), rng.uniform(0, horizon * 0.7), rng.uniform(0.2, 0.4), 0.08), WHITE, 0.6)


def _ground(canvas: Canvas, colour: Colour, top: float) -> None:
    canvas.gradient(
        polygon([(-0.1, top), (1.1, top), (1.1, 1.1), (-0.1, 1.1)]),
        ((0.0, top), (0.0, 1.0)),
        (colour, scale(colour, 0.7)),
        (1.0, 1.0),
    )


def _foliage(canvas: Canvas, rng: Rng, box: tuple[float, float, float, float], count: int) -> None:
    left, top, right, bottom = box
    spots = rng.uniform((left, top), (right, bottom), (count, 2))
    reach = rng.uniform(0.05, 0.14, count)
    base = pick(rng, _LEAVES)
    for shade in (0.6, 0.85, 1.15):
        share = [Disc(float(x), float(y), float(r), float(r) * 0.75) for (x, y), r in zip(spots, reach, strict=True)]
        canvas.fill(ellipses(share[: count // 2] if shade > 1 else share), scale(jitter(rng, base, 0.05), shade), 0.85)
        spots = spots + rng.uniform(-0.06, 0.03, spots.shape)
        reach = reach * 0.75

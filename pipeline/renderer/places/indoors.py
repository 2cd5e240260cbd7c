"""Four indoor places, each drawn in a unit square (x to the right, y down)."""

from __future__ import annotations

import numpy as np

from pipeline.renderer.canvas import Canvas
from pipeline.renderer.palette import GOODS, WHITE, from_hex, jitter, mix, scale
from pipeline.renderer.paths import EVERYWHERE, Disc, ellipses, polygon, spline
from pipeline.renderer.random_streams import chance, pick

Rng = np.random.Generator


def draw_office(canvas: Canvas, rng: Rng) -> None:
    """Draw an office: blinds, ceiling lights, desks with screens."""
    wall = jitter(rng, pick(rng, (from_hex("d6d9da"), from_hex("bfc7cc"), from_hex("e3ddd0"))), 0.03)
    canvas.gradient(EVERYWHERE, ((0.0, 0.0), (1.0, 1.0)), (wall, scale(wall, 0.75)), (1.0, 1.0))
    for row in range(2):
        x = rng.uniform(0.0, 0.3)
        canvas.fill(
            polygon(
                [
                    (x + 0.05, 0.05 + 0.12 * row),
                    (x + 0.4, 0.05 + 0.12 * row),
                    (x + 0.5, 0.12 + 0.12 * row),
                    (x, 0.12 + 0.12 * row),
                ]
            ),
            WHITE,
        )
    left = rng.uniform(-0.1, 0.5)
    canvas.box((left, 0.18, left + 0.5, 0.55), from_hex("a9c6d6"))
    for blind in range(9):
        canvas.box((left, 0.18 + blind * 0.042, left + 0.5, 0.195 + blind * 0.042), mix(wall, WHITE, 0.5))
    canvas.box((-0.1, 0.66, 1.1, 1.1), jitter(rng, from_hex("8d7558"), 0.05))
    for _ in range(int(rng.integers(1, 4))):
        x = rng.uniform(-0.1, 0.9)
        canvas.box((x, 0.47, x + 0.24, 0.64), from_hex("1d2226"))
        canvas.box((x + 0.015, 0.485, x + 0.225, 0.62), jitter(rng, from_hex("6f9fc4"), 0.1))


def draw_home(canvas: Canvas, rng: Rng) -> None:
    """Draw a living room: pictures, a sofa, a lamp."""
    wall = jitter(
        rng, pick(rng, tuple(from_hex(c) for c in ("dcc7a6", "c9d0c2", "b9a394", "8fa0a8", "e5dccd", "c4958a"))), 0.04
    )
    canvas.gradient(EVERYWHERE, ((0.0, 0.0), (0.6, 1.0)), (wall, scale(wall, 0.8)), (1.0, 1.0))
    for _ in range(int(rng.integers(1, 4))):
        x, y, w, h = rng.uniform(0, 0.85), rng.uniform(0.05, 0.35), rng.uniform(0.12, 0.25), rng.uniform(0.1, 0.2)
        canvas.box((x, y, x + w, y + h), from_hex("40362c"))
        canvas.box((x + 0.015, y + 0.012, x + w - 0.015, y + h - 0.012), jitter(rng, pick(rng, GOODS), 0.08))
    sofa, top = jitter(rng, pick(rng, GOODS), 0.05), rng.uniform(0.55, 0.68)
    canvas.fill(
        spline([(-0.2, 1.2), (-0.15, top), (0.5, top - 0.02), (1.15, top), (1.2, 1.2)]),
        scale(mix(sofa, wall, 0.4), 0.8),
    )
    lamp = rng.uniform(0.05, 0.95)
    canvas.blob(Disc(lamp, 0.38, 0.3, 0.24), from_hex("fff0c0"), 0.7)
    canvas.fill(
        polygon([(lamp - 0.05, 0.32), (lamp + 0.05, 0.32), (lamp + 0.09, 0.44), (lamp - 0.09, 0.44)]),
        from_hex("fff3d0"),
    )
    canvas.box((lamp - 0.008, 0.44, lamp + 0.008, top), from_hex("4a3a2a"))


def draw_shop(canvas: Canvas, rng: Rng) -> None:
    """Draw a shop: shelves of goods."""
    canvas.box((-0.1, -0.1, 1.1, 1.1), jitter(rng, from_hex("d8d2c4"), 0.04))
    y = -0.02
    while y < 0.95:
        height = rng.uniform(0.11, 0.17)
        canvas.box((-0.1, y + height - 0.02, 1.1, y + height), from_hex("7b7267"))
        x = rng.uniform(-0.08, 0.0)
        while x < 1.0:
            width, tall = rng.uniform(0.04, 0.10), height * rng.uniform(0.5, 0.82)
            canvas.box((x, y + height - 0.02 - tall, x + width, y + height - 0.02), jitter(rng, pick(rng, GOODS), 0.08))
            x += width + rng.uniform(0.005, 0.03)
        y += height
    if chance(rng, 0.6):
        x = rng.uniform(0.1, 0.8)
        canvas.box((x, -0.1, x + 0.2, 1.1), from_hex("efece4"), 0.85)


def draw_garage(canvas: Canvas, rng: Rng) -> None:
    """Draw a garage: a roller door, tools, a bicycle wheel."""
    wall = jitter(rng, from_hex("8b8a86"), 0.05)
    canvas.gradient(EVERYWHERE, ((0.0, 0.0), (1.0, 0.8)), (wall, scale(wall, 0.6)), (1.0, 1.0))
    left = rng.uniform(-0.15, 0.45)
    for slat in range(11):
        shade = scale(wall, 1.25 if slat % 2 else 1.05)
        canvas.box((left, 0.06 + slat * 0.055, left + 0.6, 0.11 + slat * 0.055), shade)
    canvas.box((-0.1, 0.70, 1.1, 1.1), jitter(rng, from_hex("5c5a57"), 0.04))
    x, y, reach = rng.uniform(0.05, 0.95), rng.uniform(0.5, 0.62), rng.uniform(0.13, 0.20)
    canvas.stroke(ellipses([Disc(x, y, reach, reach * 0.75)]), from_hex("1a1a1a"), 0.03)
    canvas.lines(
        [
            [(x, y), (x + reach * c, y + reach * 0.75 * s)]
            for c, s in ((1, 0), (-1, 0), (0, 1), (0, -1), (0.7, 0.7), (-0.7, -0.7))
        ],
        from_hex("bbbbbb"),
        0.008,
    )
    for _ in range(int(rng.integers(3, 7))):
        at = rng.uniform(0, 1)
        canvas.box((at, 0.1, at + 0.03, rng.uniform(0.18, 0.36)), jitter(rng, pick(rng, GOODS), 0.06))

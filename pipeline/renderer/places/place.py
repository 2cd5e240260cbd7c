"""The background behind the person: one of eight places, out of focus.

A place is drawn at a low resolution and enlarged; the enlargement is its blur.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.renderer.canvas import Canvas
from pipeline.renderer.light import Light
from pipeline.renderer.palette import BLACK, WHITE, from_hex, jitter, mix
from pipeline.renderer.paths import Disc
from pipeline.renderer.places.indoors import draw_garage, draw_home, draw_office, draw_shop
from pipeline.renderer.places.outdoors import draw_bridge, draw_forest, draw_park, draw_street
from pipeline.renderer.random_streams import pick, stream

Rng = np.random.Generator
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Place:
    """A background, out of focus and not yet lit.

    Attributes:
        pixels: uint8 (height, width, 3), RGB, sRGB: surfaces.
        glow: Likewise: lamps and lit windows on black; None where the light has no lamps.
    """

    pixels: Bytes
    glow: Bytes | None


def draw_place(name: str, light: Light, seed: int, size: tuple[int, int]) -> Place:
    """Draw a place.

    Args:
        name: A value of the factor `place`.
        light: Light of the picture; its `lamps` decide whether lamps are drawn.
        seed: Seed of the picture.
        size: (width, height) in pixels.
    """
    rng = stream(seed, f"place/{name}")
    blur = stream(seed, "place/blur").uniform(1.3, 3.6)
    small = (max(16, round(size[0] / blur)), max(20, round(size[1] / blur)))
    pixels = _enlarged(lambda canvas: _PLACES[name](canvas, rng), small, size)
    if not light.lamps:
        return Place(pixels, None)
    lamps = stream(seed, "place/lamps")
    return Place(pixels, _enlarged(lambda canvas: _glow(canvas, lamps, name), small, size))


def _enlarged(draw: Callable[[Canvas], None], small: tuple[int, int], size: tuple[int, int]) -> Bytes:
    """Draw in a unit square at the size `small`, then enlarge to `size`: uint8 (height, width, 3), RGB."""
    canvas = Canvas(small)
    canvas.clear(BLACK)
    with canvas.placed((0.0, 0.0), small[1]), canvas.scaled_horizontally(small[0] / small[1]):
        draw(canvas)
    small_picture = Image.fromarray(np.ascontiguousarray(canvas.pixels()[..., :3]))
    return np.asarray(small_picture.resize(size, Image.Resampling.BICUBIC))


def _glow(canvas: Canvas, rng: Rng, name: str) -> None:
    """Draw lit windows and out-of-focus lamps, which stay bright when the place is dark."""
    count = {"forest": 0, "park": 3, "bridge": 6}.get(name, 4)
    if name in {"street", "office"}:
        for x, y in rng.uniform((0.0, 0.0), (1.0, 0.5), (int(rng.integers(2, 9)), 2)):
            canvas.box((x, y, x + 0.05, y + 0.055), jitter(rng, from_hex("e0a050"), 0.08))
    for _ in range(count):
        x, y, reach = rng.uniform(0, 1), rng.uniform(0.05, 0.6), rng.uniform(0.03, 0.08)
        lamp = jitter(
            rng, pick(rng, (from_hex("ffe9b0"), from_hex("ffd070"), from_hex("f4f4ff"), from_hex("ff8060"))), 0.05
        )
        canvas.blob(Disc(x, y, reach * 2.6, reach * 2.0), lamp, 0.5)
        canvas.oval(Disc(x, y, reach * 0.9, reach * 0.7), mix(lamp, WHITE, 0.5), 0.95)


_PLACES: Mapping[str, Callable[[Canvas, Rng], None]] = MappingProxyType(
    {
        "street": draw_street,
        "park": draw_park,
        "office": draw_office,
        "home": draw_home,
        "shop": draw_shop,
        "garage": draw_garage,
        "bridge": draw_bridge,
        "forest": draw_forest,
    }
)

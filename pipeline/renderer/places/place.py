"""Eight places behind the person, drawn small and enlarged: the enlargement is the blur of the lens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.renderer.canvas import Brush
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
    """A place out of focus: its surfaces, and what glows (None by day). Both uint8 RGB (height, width, 3)."""

    pixels: Bytes
    glow: Bytes | None


def draw_place(name: str, light: Light, seed: int, size: tuple[int, int]) -> Place:
    """Return a place, unlit and blurred by distance.

    Args:
        name: one of the places of `VOCABULARY`.
        light: tells whether lamps glow.
        seed: the picture's seed.
        size: width and height, pixels.

    Returns:
        the place at full size.
    """
    rng = stream(seed, f"place/{name}")
    blur = stream(seed, "place/blur").uniform(1.3, 3.6)
    small = (max(16, round(size[0] / blur)), max(20, round(size[1] / blur)))
    pixels = _enlarged(lambda brush: _PLACES[name](brush, rng), small, size)
    if not light.lamps:
        return Place(pixels, None)
    lamps = stream(seed, "place/lamps")
    return Place(pixels, _enlarged(lambda brush: _glow(brush, lamps, name), small, size))


def _enlarged(draw: Callable[[Brush], None], small: tuple[int, int], size: tuple[int, int]) -> Bytes:
    """Return what is drawn on a small sheet at full size."""
    brush = Brush(small)
    brush.fill_all(BLACK)
    with brush.placed((0.0, 0.0), small[1]), brush.stretched(small[0] / small[1]):
        draw(brush)
    small_picture = Image.fromarray(np.ascontiguousarray(brush.pixels()[..., :3]))
    return np.asarray(small_picture.resize(size, Image.Resampling.BICUBIC))


def _glow(brush: Brush, rng: Rng, name: str) -> None:
    """Draw lamps out of focus and lit windows: they stay bright when the place falls dark."""
    count = {"forest": 0, "park": 3, "bridge": 6}.get(name, 4)
    if name in {"street", "office"}:
        for x, y in rng.uniform((0.0, 0.0), (1.0, 0.5), (int(rng.integers(2, 9)), 2)):
            brush.box((x, y, x + 0.05, y + 0.055), jitter(rng, from_hex("e0a050"), 0.08))
    for _ in range(count):
        x, y, reach = rng.uniform(0, 1), rng.uniform(0.05, 0.6), rng.uniform(0.03, 0.08)
        lamp = jitter(
            rng, pick(rng, (from_hex("ffe9b0"), from_hex("ffd070"), from_hex("f4f4ff"), from_hex("ff8060"))), 0.05
        )
        brush.blob(Disc(x, y, reach * 2.6, reach * 2.0), lamp, 0.5)
        brush.oval(Disc(x, y, reach * 0.9, reach * 0.7), mix(lamp, WHITE, 0.5), 0.95)


_PLACES: Mapping[str, Callable[[Brush, Rng], None]] = MappingProxyType(
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

"""Named colours and operations on colours. A colour is (red, green, blue) in sRGB, each a float in 0..1.

The skin tones are the ten of the Monk Skin Tone scale (Ellis Monk, skintone.google).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

Colour = tuple[float, float, float]
WHITE: Colour = (1.0, 1.0, 1.0)
BLACK: Colour = (0.0, 0.0, 0.0)


def from_hex(code: str) -> Colour:
    """Return the colour of a six-digit hexadecimal code without `#`."""
    red, green, blue = (int(code[at : at + 2], 16) / 255 for at in (0, 2, 4))
    return red, green, blue


SKIN_TONES: Mapping[str, Colour] = {
    f"monk_{number:02d}": from_hex(code)
    for number, code in enumerate(
        ("f6ede4", "f3e7db", "f7ead0", "eadaba", "d7bd96", "a07e56", "825c43", "604134", "3a312a", "292420"), start=1
    )
}
HAIR: Mapping[str, tuple[Colour, ...]] = {
    "black": (from_hex("17130f"), from_hex("211b19"), from_hex("1b1a20")),
    "brown": (from_hex("4a2f1f"), from_hex("5f3f28"), from_hex("38231a")),
    "blond": (from_hex("c9a465"), from_hex("dcc08a"), from_hex("b08b52")),
    "red": (from_hex("8e3b1c"), from_hex("a8502a"), from_hex("73301c")),
    "grey": (from_hex("9a9895"), from_hex("c3c2c0"), from_hex("7f7d7c")),
}
CLOTH: Mapping[str, Colour] = {
    "black": from_hex("1f1f23"),
    "white": from_hex("ecebe6"),
    "grey": from_hex("85888c"),
    "red": from_hex("b3272c"),
    "blue": from_hex("2b4f94"),
    "green": from_hex("33704a"),
    "yellow": from_hex("e6bd2f"),
    "purple": from_hex("6b3f8c"),
}
HEADWEAR: Mapping[str, Colour] = {
    "black": from_hex("1b1b1e"),
    "white": from_hex("efefec"),
    "red": from_hex("c42127"),
    "blue": from_hex("2257a8"),
    "yellow": from_hex("f0cf28"),
    "green": from_hex("2f8a4c"),
    "orange": from_hex("ee7420"),
    "pink": from_hex("e67ba6"),
}
EYES: tuple[Colour, ...] = tuple(
    from_hex(code) for code in ("3a2414", "4d3019", "5d4a2a", "6b7a4a", "5c86a8", "7f97a3", "2a1a10", "3a2414")
)
# Colours of objects in a background: paint, packages, cars, cushions.
GOODS: tuple[Colour, ...] = tuple(
    from_hex(code) for code in ("c43d33", "e0a92e", "3a7d4f", "2f5f9e", "e8e2d2", "7a4a8c", "d96f2e", "49a5a8")
)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Interpolate linearly: the first colour at `share` 0, the second at 1."""
    keep = 1.0 - share
    return (
        first[0] * keep + second[0] * share,
        first[1] * keep + second[1] * share,
        first[2] * keep + second[2] * share,
    )


def scale(colour: Colour, factor: float) -> Colour:
    """Multiply all channels by one factor; clipped at 1."""
    return min(1.0, colour[0] * factor), min(1.0, colour[1] * factor), min(1.0, colour[2] * factor)


def tint(colour: Colour, gains: Colour) -> Colour:
    """Multiply each channel by its gain; clipped at 1."""
    return min(1.0, colour[0] * gains[0]), min(1.0, colour[1] * gains[1]), min(1.0, colour[2] * gains[2])


def luminance(colour: Colour) -> float:
    """Return the luma of a colour, 0..1 (ITU-R BT.601 weights)."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def jitter(rng: np.random.Generator, colour: Colour, spread: float) -> Colour:
    """Vary a colour: brightness by up to 2 * `spread` (relative), each channel by up to `spread` / 2 (absolute)."""
    gain = 1.0 + rng.uniform(-2.0, 2.0) * spread
    red, green, blue = (colour[channel] * gain + rng.uniform(-spread, spread) * 0.5 for channel in range(3))
    return min(1.0, max(0.0, red)), min(1.0, max(0.0, green)), min(1.0, max(0.0, blue))


def shadow_of(skin: Colour) -> Colour:
    """Return the colour of skin in shadow: darker, and warmer for fair skin."""
    return tint(skin, (0.60, 0.47, 0.42)) if luminance(skin) > 0.3 else tint(skin, (0.50, 0.43, 0.42))

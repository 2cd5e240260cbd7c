"""Exposure and sensor noise, simulated on linear light, and the conversion between sRGB codes and linear light.

Pure. A sensor counts photons, so exposure gain and noise act on linear values. The curve between linear values and the
codes of a picture is that of sRGB (IEC 61966-2-1:1999): code / 12.92 up to 0.04045, above it
((code + 0.055) / 1.055) ** 2.4, for codes scaled to 0..1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.data.preprocess import Pixels

LinearLight = NDArray[np.float32]

READ_NOISE_ELECTRONS = 2.0
_STEPS = 65535  # fine enough that every sRGB code survives the round trip


def _srgb_to_linear_table() -> LinearLight:
    code = np.arange(256) / 255
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _linear_to_srgb_table() -> Pixels:
    linear = np.arange(_STEPS + 1) / _STEPS
    code = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * code), np.uint8)


_TO_LINEAR = _srgb_to_linear_table()
_TO_SRGB = _linear_to_srgb_table()


def srgb_to_linear(pixels: Pixels) -> LinearLight:
    """Convert sRGB codes to linear light: uint8 of any shape -> float32 in 0..1 of the same shape."""
    return _TO_LINEAR[pixels]


def linear_to_srgb(linear: LinearLight) -> Pixels:
    """Convert linear light to sRGB codes: float of any shape -> uint8; values outside 0..1 are clipped."""
    return _TO_SRGB[(np.clip(linear, 0, 1) * np.float32(_STEPS) + np.float32(0.5)).astype(np.uint16)]


def expose(pixels: Pixels, stops: float) -> Pixels:
    """Change the exposure: each stop doubles the light; highlights that exceed the sensor's range are clipped.

    Args:
        pixels: RGB, uint8 (height, width, 3).
        stops: log2 of the gain on linear light; negative values darken.
    """
    table = linear_to_srgb(_TO_LINEAR * np.float32(2**stops))
    return table[pixels]


def add_noise(pixels: Pixels, electrons: float, random: np.random.Generator) -> Pixels:
    """Add the noise of a picture taken with little light and high gain: Poisson shot noise and Gaussian read noise.

    The model of Foi et al., "Practical Poissonian-Gaussian noise modeling and fitting for single-image raw-data", IEEE
    TIP 17(10), 2008. The mean brightness does not change: auto exposure has compensated for the darkness.

    Args:
        pixels: RGB, uint8 (height, width, 3).
        electrons: Electrons counted at a white pixel; fewer mean a darker scene.
        random: Draws the noise.
    """
    linear = srgb_to_linear(pixels)
    counted = random.poisson(linear * np.float32(electrons)).astype(np.float32)
    counted += np.float32(READ_NOISE_ELECTRONS) * random.standard_normal(linear.shape, np.float32)
    return linear_to_srgb(counted / np.float32(electrons))

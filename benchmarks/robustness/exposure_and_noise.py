"""Pure: sRGB codes <-> linear light, and what happens to light before it becomes codes: exposure and sensor noise.

A sensor counts photons, so gains and noise act on linear values; the curve between them and the codes of a picture is
sRGB's (IEC 61966-2-1:1999): code / 12.92 up to 0.04045, then ((code + 0.055) / 1.055) ** 2.4.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.data.preprocess import Pixels

Light = NDArray[np.float32]

READ_NOISE_ELECTRONS = 2.0
_STEPS = 65535  # fine enough that every code comes back as itself


def _srgb_to_linear() -> Light:
    code = np.arange(256) / 255
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _linear_to_srgb() -> Pixels:
    light = np.arange(_STEPS + 1) / _STEPS
    code = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * code), np.uint8)


_TO_LIGHT = _srgb_to_linear()
_TO_CODES = _linear_to_srgb()


def to_light(pixels: Pixels) -> Light:
    """Linear light of codes: uint8 of any shape -> float32 in 0..1 of the same shape."""
    return _TO_LIGHT[pixels]


def to_codes(light: Light) -> Pixels:
    """Codes of linear light, clipped to 0..1 as a full well and black are: float of any shape -> uint8."""
    return _TO_CODES[(np.clip(light, 0, 1) * np.float32(_STEPS) + np.float32(0.5)).astype(np.uint16)]


def expose(pixels: Pixels, stops: float) -> Pixels:
    """Expose longer (positive) or shorter: each stop doubles the light; what no longer fits is clipped, as on a sensor.

    Args:
        pixels: uint8 (height, width, 3), RGB.
        stops: log2 of the gain on linear light.
    """
    table = to_codes(_TO_LIGHT * np.float32(2**stops))
    return table[pixels]


def add_noise(pixels: Pixels, electrons: float, stream: np.random.Generator) -> Pixels:
    """Take the picture with little light and much gain: shot noise is Poisson, read noise Gaussian, in electrons.

    The model of Foi et al., "Practical Poissonian-Gaussian noise modeling and fitting for single-image raw-data", IEEE
    TIP 17(10), 2008. Brightness stays as it is: auto exposure has made up for the dark.

    Args:
        pixels: uint8 (height, width, 3), RGB.
        electrons: Counted where a pixel is white; fewer is darker.
        stream: Where the noise comes from.
    """
    light = to_light(pixels)
    counted = stream.poisson(light * np.float32(electrons)).astype(np.float32)
    counted += np.float32(READ_NOISE_ELECTRONS) * stream.standard_normal(light.shape, np.float32)
    return to_codes(counted / np.float32(electrons))

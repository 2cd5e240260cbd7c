"""Pure: blur by a moving hand and by a lens out of focus, on linear light, where blur happens.

Sizes are shares of the picture's shorter side, so that a picture of any resolution is blurred alike.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from benchmarks.robustness.exposure_and_noise import to_codes, to_light
from pipeline.data.preprocess import Pixels

Kernel = NDArray[np.float32]

_FINE = 8  # samples a pixel and axis, so that a kernel of less than a pixel is one, too


def move(pixels: Pixels, length: float, stream: np.random.Generator) -> Pixels:
    """Move the camera in a straight line at constant speed while the shutter is open, in a direction drawn by chance.

    The point spread function is a line (Boracchi & Foi, "Modeling the performance of image restoration from motion
    blur", IEEE TIP 21(8), 2012, of which a straight line is the simplest trajectory).

    Args:
        pixels: uint8 (height, width, 3), RGB.
        length: Of the line, as a share of the shorter side.
        stream: Where the direction comes from.
    """
    return _convolve(pixels, line(length * min(pixels.shape[:2]), stream.uniform(0, math.pi)))


def defocus(pixels: Pixels, radius: float) -> Pixels:
    """Put the scene out of focus: every point becomes a disc, the image of a round aperture (circle of confusion).

    Args:
        pixels: uint8 (height, width, 3), RGB.
        radius: Of the disc, as a share of the shorter side.
    """
    return _convolve(pixels, disc(radius * min(pixels.shape[:2])))


def line(length: float, angle: float) -> Kernel:
    """A line of this length in pixels at this angle in radians: float32 (odd, odd), sums to one."""
    along = (np.arange(max(1, math.ceil(length * _FINE))) + 0.5) / _FINE
    along -= along.mean()
    return _binned(along * math.cos(angle), along * math.sin(angle), length / 2)


def disc(radius: float) -> Kernel:
    """A filled disc of this radius in pixels: float32 (odd, odd), sums to one."""
    reach = math.ceil(radius * _FINE)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1] / _FINE
    inside = np.hypot(x, y) <= radius
    return _binned(x[inside], y[inside], radius)


def _binned(x: NDArray[np.float64], y: NDArray[np.float64], reach: float) -> Kernel:
    """Share points of light out among the four pixels around each of them."""
    half = math.ceil(reach) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1))
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, low = x - left, y - top
    for dy, dx, weight in (
        (0, 0, (1 - low) * (1 - right)),
        (0, 1, (1 - low) * right),
        (1, 0, low * (1 - right)),
        (1, 1, low * right),
    ):
        np.add.at(kernel, (top + dy + half, left + dx + half), weight)
    return np.asarray(kernel / kernel.sum(), np.float32)


def _convolve(pixels: Pixels, kernel: Kernel) -> Pixels:
    margin = kernel.shape[0] // 2
    padded = np.pad(to_light(pixels), ((margin, margin), (margin, margin), (0, 0)), "edge")
    return to_codes(signal.fftconvolve(padded, kernel[:, :, None], "valid", axes=(0, 1)))

"""Motion blur and defocus blur, computed on linear light, where optical blur acts.

Pure. Lengths and radii are fractions of the picture's shorter side, so the blur does not depend on the resolution.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from benchmarks.robustness.exposure_and_noise import linear_to_srgb, srgb_to_linear
from pipeline.data.preprocess import Pixels

Kernel = NDArray[np.float32]

_SAMPLES_PER_PIXEL = 8  # along each axis, so that kernels smaller than a pixel are resolved


def motion_blur(pixels: Pixels, length: float, random: np.random.Generator) -> Pixels:
    """Blur as if the camera moved in a straight line at constant speed during the exposure, in a random direction.

    The point spread function is a line segment, the simplest trajectory of Boracchi & Foi, "Modeling the performance
    of image restoration from motion blur", IEEE TIP 21(8), 2012.

    Args:
        pixels: RGB, uint8 (height, width, 3).
        length: Length of the segment as a fraction of the shorter side.
        random: Draws the direction.
    """
    return _convolve(pixels, line_kernel(length * min(pixels.shape[:2]), random.uniform(0, math.pi)))


def defocus(pixels: Pixels, radius: float) -> Pixels:
    """Blur as if the scene were out of focus: each point becomes a disc, the circle of confusion of a round aperture.

    Args:
        pixels: RGB, uint8 (height, width, 3).
        radius: Radius of the disc as a fraction of the shorter side.
    """
    return _convolve(pixels, disc_kernel(radius * min(pixels.shape[:2])))


def line_kernel(length: float, angle: float) -> Kernel:
    """A line segment of ``length`` pixels at ``angle`` radians: float32, both sides odd, sum 1."""
    along = (np.arange(max(1, math.ceil(length * _SAMPLES_PER_PIXEL))) + 0.5) / _SAMPLES_PER_PIXEL
    along -= along.mean()
    return _splat(along * math.cos(angle), along * math.sin(angle), length / 2)


def disc_kernel(radius: float) -> Kernel:
    """A filled disc of ``radius`` pixels: float32, both sides odd, sum 1."""
    extent = math.ceil(radius * _SAMPLES_PER_PIXEL)
    y, x = np.mgrid[-extent : extent + 1, -extent : extent + 1] / _SAMPLES_PER_PIXEL
    inside = np.hypot(x, y) <= radius
    return _splat(x[inside], y[inside], radius)


def _splat(x: NDArray[np.float64], y: NDArray[np.float64], extent: float) -> Kernel:
    """Distribute sample points bilinearly over four pixels each; coordinates are in pixels from the centre."""
    half = math.ceil(extent) + 1
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
    padded = np.pad(srgb_to_linear(pixels), ((margin, margin), (margin, margin), (0, 0)), "edge")
    return linear_to_srgb(signal.fftconvolve(padded, kernel[:, :, None], "valid", axes=(0, 1)))

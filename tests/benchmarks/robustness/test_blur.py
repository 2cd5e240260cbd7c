"""Blur kernels have the requested size, and blurring conserves light."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.robustness import blur
from benchmarks.robustness.exposure_and_noise import srgb_to_linear


@pytest.mark.parametrize(
    "kernel", [blur.line_kernel(7.3, 0.4), blur.line_kernel(0.5, 1), blur.disc_kernel(2.6), blur.disc_kernel(0.3)]
)
def test_kernels_sum_to_one_and_have_odd_sides(kernel: blur.Kernel) -> None:
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    assert kernel.min() >= 0
    assert kernel.shape[0] == kernel.shape[1]
    assert kernel.shape[0] % 2 == 1


def test_a_line_kernel_has_the_angle_and_variance_of_its_segment() -> None:
    kernel = blur.line_kernel(9, math.pi / 2)
    middle = kernel.shape[0] // 2
    offsets = np.arange(-middle, middle + 1)
    assert kernel[:, middle].sum() == pytest.approx(1, abs=1e-5)
    assert float((kernel.sum(axis=1) * offsets**2).sum()) == pytest.approx(9**2 / 12, rel=0.05)


def test_a_disc_kernel_is_round_and_has_the_variance_of_its_radius() -> None:
    kernel = blur.disc_kernel(4)
    np.testing.assert_allclose(kernel, kernel.T, atol=1e-6)
    np.testing.assert_allclose(kernel, kernel[::-1], atol=1e-6)
    offsets = np.arange(kernel.shape[0]) - kernel.shape[0] // 2
    assert float((kernel.sum(axis=1) * offsets**2).sum()) == pytest.approx(4**2 / 4, rel=0.06)


def test_a_uniform_picture_stays_uniform_up_to_its_edges() -> None:
    uniform = np.full((30, 20, 3), (7, 99, 250), np.uint8)
    for blurred in (blur.defocus(uniform, 0.2), blur.motion_blur(uniform, 0.4, np.random.default_rng(1))):
        np.testing.assert_array_equal(blurred, uniform)


def test_defocus_spreads_a_bright_spot_and_conserves_its_light() -> None:
    night = np.zeros((41, 41, 3), np.uint8)
    night[18:23, 18:23] = 255
    blurred = blur.defocus(night, 0.12)
    assert (blurred[..., 0] > 0).sum() > 100
    assert srgb_to_linear(blurred).sum() == pytest.approx(srgb_to_linear(night).sum(), rel=0.02)


def test_a_tiny_radius_changes_almost_nothing() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (40, 30, 3), np.uint8)
    assert np.abs(blur.defocus(pixels, 1e-4).astype(int) - pixels).max() <= 1

"""Blur: kernels of the size they are asked for, light neither lost nor won."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.robustness import blur
from benchmarks.robustness.exposure_and_noise import to_light


@pytest.mark.parametrize("kernel", [blur.line(7.3, 0.4), blur.line(0.5, 1), blur.disc(2.6), blur.disc(0.3)])
def test_kernels_neither_lose_nor_win_light(kernel: blur.Kernel) -> None:
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    assert kernel.min() >= 0
    assert kernel.shape[0] == kernel.shape[1]
    assert kernel.shape[0] % 2 == 1


def test_a_line_lies_along_its_angle_with_the_variance_of_its_length() -> None:
    kernel = blur.line(9, math.pi / 2)
    middle = kernel.shape[0] // 2
    offsets = np.arange(-middle, middle + 1)
    assert kernel[:, middle].sum() == pytest.approx(1, abs=1e-5)
    assert float((kernel.sum(axis=1) * offsets**2).sum()) == pytest.approx(9**2 / 12, rel=0.05)


def test_a_disc_is_round_with_the_variance_of_its_radius() -> None:
    kernel = blur.disc(4)
    np.testing.assert_allclose(kernel, kernel.T, atol=1e-6)
    np.testing.assert_allclose(kernel, kernel[::-1], atol=1e-6)
    offsets = np.arange(kernel.shape[0]) - kernel.shape[0] // 2
    assert float((kernel.sum(axis=1) * offsets**2).sum()) == pytest.approx(4**2 / 4, rel=0.06)


def test_a_plain_picture_stays_plain_up_to_its_edges() -> None:
    plain = np.full((30, 20, 3), (7, 99, 250), np.uint8)
    for seen in (blur.defocus(plain, 0.2), blur.move(plain, 0.4, np.random.default_rng(1))):
        np.testing.assert_array_equal(seen, plain)


def test_a_lamp_at_night_spreads_but_shines_as_bright() -> None:
    night = np.zeros((41, 41, 3), np.uint8)
    night[18:23, 18:23] = 255
    seen = blur.defocus(night, 0.12)
    assert (seen[..., 0] > 0).sum() > 100
    assert to_light(seen).sum() == pytest.approx(to_light(night).sum(), rel=0.02)


def test_next_to_no_blur_changes_next_to_nothing() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (40, 30, 3), np.uint8)
    assert np.abs(blur.defocus(pixels, 1e-4).astype(int) - pixels).max() <= 1

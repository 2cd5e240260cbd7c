"""The sRGB curve, exposure in stops, and noise with the variance of its model."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.robustness import exposure_and_noise

CODES = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)


def test_every_srgb_code_survives_the_round_trip() -> None:
    np.testing.assert_array_equal(exposure_and_noise.linear_to_srgb(exposure_and_noise.srgb_to_linear(CODES)), CODES)


@pytest.mark.parametrize(("code", "linear"), [(0, 0.0), (10, 10 / 255 / 12.92), (188, 0.502886), (255, 1.0)])
def test_the_curve_is_that_of_srgb(code: int, linear: float) -> None:
    assert float(exposure_and_noise.srgb_to_linear(np.array(code, np.uint8))) == pytest.approx(linear, abs=1e-6)


def test_zero_stops_change_nothing_and_one_stop_doubles_the_light() -> None:
    np.testing.assert_array_equal(exposure_and_noise.expose(CODES, 0), CODES)
    grey = np.full((4, 4, 3), 92, np.uint8)
    doubled = exposure_and_noise.srgb_to_linear(exposure_and_noise.expose(grey, 1)) / exposure_and_noise.srgb_to_linear(
        grey
    )
    assert doubled.mean() == pytest.approx(2, rel=0.02)


def test_values_outside_the_range_are_clipped() -> None:
    assert exposure_and_noise.expose(np.full((2, 2, 3), 200, np.uint8), 2).min() == 255
    assert exposure_and_noise.expose(np.full((2, 2, 3), 20, np.uint8), -8).max() == 0


@pytest.mark.parametrize("electrons", [200, 2000])
def test_noise_keeps_the_mean_and_has_the_variance_of_shot_and_read_noise(electrons: float) -> None:
    grey = np.full((200, 200, 3), 150, np.uint8)
    level = float(exposure_and_noise.srgb_to_linear(grey).mean())
    noisy = exposure_and_noise.srgb_to_linear(exposure_and_noise.add_noise(grey, electrons, np.random.default_rng(5)))
    assert noisy.mean() == pytest.approx(level, rel=0.01)
    expected = (level * electrons + exposure_and_noise.READ_NOISE_ELECTRONS**2) / electrons**2
    assert noisy.var() == pytest.approx(expected, rel=0.03)


def test_black_pixels_have_only_read_noise() -> None:
    noisy = exposure_and_noise.add_noise(np.zeros((100, 100, 3), np.uint8), 200, np.random.default_rng(5))
    assert (noisy > 0).mean() == pytest.approx(0.5, abs=0.05)

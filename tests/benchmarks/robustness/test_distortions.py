"""Distortions return frames of the input size, are deterministic, and grow with severity."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.robustness.distortions import DISTORTIONS, INTEGRATION_ERRORS, SEVERITIES, distort
from pipeline.data.preprocess import Pixels, PreprocessSpec, fit

SPEC = PreprocessSpec(input_size=(64, 48))
ALL = {**DISTORTIONS, **INTEGRATION_ERRORS}
HARMLESS = {"resize_bilinear", "resize_area"}  # for frames without fine detail


def scene(height: int, width: int, seed: int = 1) -> Pixels:
    """A picture of smooth blotches and a few sharp edges, like faces and helmets; neither black nor white."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / min(height, width)
    waves = [np.sin(f * x + p) * np.cos(g * y + q) for f, g, p, q in random.uniform(1, 12, (6, 4))]
    soft = np.tensordot(random.uniform(-25, 25, (3, 6)), np.array(waves), 1).transpose(1, 2, 0)
    edge = 40.0 * (((x - 0.5) ** 2 + (y - 0.6) ** 2 < 0.06)[..., None])
    return np.clip(110 + soft + edge, 0, 255).astype(np.uint8)


def mean_difference(pixels: Pixels, name: str, severity: int, spec: PreprocessSpec = SPEC) -> float:
    """Mean absolute difference from the undistorted frame."""
    distorted = distort(pixels, name, severity, spec, (1, "a")).astype(int)
    return float(np.abs(distorted - fit(pixels, spec)).mean())


@pytest.mark.parametrize("size", [(64, 48), (8, 6), (131, 97), (90, 160)])
@pytest.mark.parametrize("name", ALL)
def test_every_distortion_returns_a_frame_of_the_input_size(name: str, size: tuple[int, int]) -> None:
    pixels = scene(*size)
    before = pixels.copy()
    for severity in range(1, len(ALL[name].levels) + 1):
        distorted = distort(pixels, name, severity, SPEC, (1, "a"))
        assert (distorted.shape, distorted.dtype) == ((64, 48, 3), np.uint8)
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize("name", ALL)
def test_equal_arguments_give_equal_bytes(name: str) -> None:
    pixels = scene(96, 72)
    first, again = (distort(pixels, name, 1, SPEC, (7, "selfie-3")) for _ in range(2))
    assert first.tobytes() == again.tobytes()


@pytest.mark.parametrize("name", ["night_noise", "motion_blur", "rotation"])
def test_another_image_or_seed_is_distorted_differently(name: str) -> None:
    pixels = scene(96, 72)
    images = {distort(pixels, name, 3, SPEC, (1, f"selfie-{i}")).tobytes() for i in range(6)}
    seeds = {distort(pixels, name, 3, SPEC, (seed, "selfie-0")).tobytes() for seed in range(6)}
    assert len(images) > 1
    assert len(seeds) > 1


@pytest.mark.parametrize("name", [name for name, kind in DISTORTIONS.items() if len(kind.levels) == SEVERITIES])
def test_a_higher_severity_changes_the_picture_more(name: str) -> None:
    pictures = [scene(64, 48, seed) for seed in range(6)]
    changes = [float(np.mean([mean_difference(each, name, k) for each in pictures])) for k in range(1, SEVERITIES + 1)]
    if name in HARMLESS:
        assert 0 < max(changes) < 2
    else:
        assert changes == sorted(changes)
        assert changes[0] < changes[-1]


def test_distortions_have_five_severities_or_one_and_errors_have_one() -> None:
    assert {len(kind.levels) for kind in DISTORTIONS.values()} == {1, SEVERITIES}
    assert {len(kind.levels) for kind in INTEGRATION_ERRORS.values()} == {1}
    assert not DISTORTIONS.keys() & INTEGRATION_ERRORS.keys()


@pytest.mark.parametrize("name", ["resize_nearest", "resize_bilinear"])
def test_fine_detail_aliases_more_in_a_larger_frame(name: str) -> None:
    detail = np.random.default_rng(2).integers(0, 256, (384, 288, 3), np.uint8)
    changes = [mean_difference(detail, name, k) for k in range(1, SEVERITIES + 1)]
    assert changes == sorted(changes)
    assert changes[-1] > 2 * changes[0]


def test_a_filter_that_skips_pixels_aliases_and_an_averaging_one_does_not() -> None:
    stripes = np.zeros((384, 288, 3), np.uint8)
    stripes[:, ::2] = 200
    smooth = fit(stripes, SPEC)
    nearest = distort(stripes, "resize_nearest", 5, SPEC, (1, "a")).astype(int)
    area = distort(stripes, "resize_area", 5, SPEC, (1, "a")).astype(int)
    assert np.abs(nearest - smooth).mean() > 50
    assert np.abs(area - smooth).mean() < 10


def test_the_resolution_of_a_photograph_does_not_change_the_distortion() -> None:
    small = scene(128, 96)
    large = small.repeat(6, axis=0).repeat(6, axis=1)
    for name in ("focus_blur", "under_exposure", "tall_letterboxed", "zoom"):
        distorted = [distort(each, name, 3, SPEC, (1, "a")).astype(int) for each in (small, large)]
        assert np.abs(distorted[0] - distorted[1]).mean() < 2, name


def test_a_severity_is_described_with_its_unit() -> None:
    assert DISTORTIONS["jpeg"].describe_severity(5) == "quality 30"
    assert DISTORTIONS["night_noise"].describe_severity(1) == "2000 electrons at white"
    assert DISTORTIONS["mirror"].describe_severity(1) == ""
    assert DISTORTIONS["mirror"].nearest_severity(3) == 1
    assert DISTORTIONS["jpeg"].nearest_severity(3) == 3


def test_scaling_pixels_before_the_model_does_leaves_an_almost_black_frame() -> None:
    for name in ("divided_by_255", "scaled_to_minus_1_1"):
        assert distort(scene(64, 48), name, 1, SPEC, (1, "a")).max() <= 1


def test_bgr_swaps_only_red_and_blue() -> None:
    pixels = scene(64, 48)
    np.testing.assert_array_equal(distort(pixels, "bgr", 1, SPEC, (1, "a")), pixels[..., ::-1])


def test_stretching_makes_the_person_wider() -> None:
    frame = np.zeros((128, 96, 3), np.uint8)
    frame[:, 40:56] = 255
    wide = distort(frame, "stretched", 1, SPEC, (1, "a"))
    assert (wide[32, :, 0] > 128).sum() > (fit(frame, SPEC)[32, :, 0] > 128).sum()

"""What every distortion keeps: shape and type, the same bytes for the same four, more harm with more severity."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.robustness.distortions import DISTORTIONS, MISTAKES, SEVERITIES, distort
from pipeline.data.preprocess import Pixels, PreprocessSpec, fit

SPEC = PreprocessSpec(input_size=(64, 48))
EVERYTHING = {**DISTORTIONS, **MISTAKES}
HARMLESS = {"resize_bilinear", "resize_area"}  # to a frame without fine detail, of any size


def scene(height: int, width: int, seed: int = 1) -> Pixels:
    """Soft blotches with a few sharp edges, as faces and helmets have; dark and light, far from black and white."""
    chance = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / min(height, width)
    waves = [np.sin(f * x + p) * np.cos(g * y + q) for f, g, p, q in chance.uniform(1, 12, (6, 4))]
    soft = np.tensordot(chance.uniform(-25, 25, (3, 6)), np.array(waves), 1).transpose(1, 2, 0)
    edge = 40.0 * (((x - 0.5) ** 2 + (y - 0.6) ** 2 < 0.06)[..., None])
    return np.clip(110 + soft + edge, 0, 255).astype(np.uint8)


def change(pixels: Pixels, name: str, severity: int, spec: PreprocessSpec = SPEC) -> float:
    """Mean absolute difference from the undistorted frame."""
    seen = distort(pixels, name, severity, spec, (1, "a")).astype(int)
    return float(np.abs(seen - fit(pixels, spec)).mean())


@pytest.mark.parametrize("size", [(64, 48), (8, 6), (131, 97), (90, 160)])
@pytest.mark.parametrize("name", EVERYTHING)
def test_the_model_gets_a_frame_of_its_input_size(name: str, size: tuple[int, int]) -> None:
    pixels = scene(*size)
    before = pixels.copy()
    for severity in range(1, len(EVERYTHING[name].values) + 1):
        seen = distort(pixels, name, severity, SPEC, (1, "a"))
        assert (seen.shape, seen.dtype) == ((64, 48, 3), np.uint8)
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize("name", EVERYTHING)
def test_seed_image_distortion_and_severity_give_the_same_bytes(name: str) -> None:
    pixels = scene(96, 72)
    first, again = (distort(pixels, name, 1, SPEC, (7, "selfie-3")) for _ in range(2))
    assert first.tobytes() == again.tobytes()


@pytest.mark.parametrize("name", ["night_noise", "motion_blur", "rotation"])
def test_another_image_or_seed_meets_another_chance(name: str) -> None:
    pixels = scene(96, 72)
    images = {distort(pixels, name, 3, SPEC, (1, f"selfie-{i}")).tobytes() for i in range(6)}
    seeds = {distort(pixels, name, 3, SPEC, (seed, "selfie-0")).tobytes() for seed in range(6)}
    assert len(images) > 1
    assert len(seeds) > 1


@pytest.mark.parametrize("name", [name for name, kind in DISTORTIONS.items() if len(kind.values) == SEVERITIES])
def test_more_severity_changes_more(name: str) -> None:
    pictures = [scene(64, 48, seed) for seed in range(6)]
    changes = [float(np.mean([change(each, name, k) for each in pictures])) for k in range(1, SEVERITIES + 1)]
    if name in HARMLESS:
        assert 0 < max(changes) < 2
    else:
        assert changes == sorted(changes)
        assert changes[0] < changes[-1]


def test_distortions_have_five_severities_or_one() -> None:
    assert {len(kind.values) for kind in DISTORTIONS.values()} == {1, SEVERITIES}
    assert {len(kind.values) for kind in MISTAKES.values()} == {1}
    assert not DISTORTIONS.keys() & MISTAKES.keys()


@pytest.mark.parametrize("name", ["resize_nearest", "resize_bilinear"])
def test_a_larger_frame_of_fine_detail_aliases_more(name: str) -> None:
    detail = np.random.default_rng(2).integers(0, 256, (384, 288, 3), np.uint8)
    changes = [change(detail, name, k) for k in range(1, SEVERITIES + 1)]
    assert changes == sorted(changes)
    assert changes[-1] > 2 * changes[0]


def test_fine_detail_turns_into_aliasing_where_a_filter_skips_pixels() -> None:
    stripes = np.zeros((384, 288, 3), np.uint8)
    stripes[:, ::2] = 200
    smooth = fit(stripes, SPEC)
    nearest = distort(stripes, "resize_nearest", 5, SPEC, (1, "a")).astype(int)
    area = distort(stripes, "resize_area", 5, SPEC, (1, "a")).astype(int)
    assert np.abs(nearest - smooth).mean() > 50
    assert np.abs(area - smooth).mean() < 10


def test_a_large_photograph_is_distorted_as_a_small_one_is() -> None:
    small = scene(128, 96)
    large = small.repeat(6, axis=0).repeat(6, axis=1)
    for name in ("focus_blur", "under_exposure", "tall_letterboxed", "zoom"):
        seen = [distort(each, name, 3, SPEC, (1, "a")).astype(int) for each in (small, large)]
        assert np.abs(seen[0] - seen[1]).mean() < 2, name


def test_amounts_are_told_in_words() -> None:
    assert DISTORTIONS["jpeg"].amount(5) == "quality 30"
    assert DISTORTIONS["night_noise"].amount(1) == "2000 electrons at white"
    assert DISTORTIONS["mirror"].amount(1) == ""
    assert DISTORTIONS["mirror"].severity(3) == 1
    assert DISTORTIONS["jpeg"].severity(3) == 3


def test_floats_in_place_of_bytes_are_all_but_black() -> None:
    for name in ("divided_by_255", "scaled_to_minus_1_1"):
        assert distort(scene(64, 48), name, 1, SPEC, (1, "a")).max() <= 1


def test_bgr_swaps_red_and_blue_and_nothing_else() -> None:
    pixels = scene(64, 48)
    np.testing.assert_array_equal(distort(pixels, "bgr", 1, SPEC, (1, "a")), pixels[..., ::-1])


def test_a_stretched_frame_shows_the_person_wider() -> None:
    frame = np.zeros((128, 96, 3), np.uint8)
    frame[:, 40:56] = 255
    wide = distort(frame, "stretched", 1, SPEC, (1, "a"))
    assert (wide[32, :, 0] > 128).sum() > (fit(frame, SPEC)[32, :, 0] > 128).sum()

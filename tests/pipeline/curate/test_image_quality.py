"""Image quality: broken images score below their threshold, images that are merely dark do not."""

from __future__ import annotations

import numpy as np
import PIL.Image
import PIL.ImageFilter
import pytest

from pipeline.config.params import load_params
from pipeline.curate.findings import check_score
from pipeline.curate.image_quality import QUALITY_REASONS, measure_quality, score_quality
from pipeline.data.preprocess import Pixels
from pipeline.renderer import render

CURATE = load_params().curate
THRESHOLDS = {reason: float(getattr(CURATE, reason)) for reason in QUALITY_REASONS}


def portrait(seed: int, **factors: str) -> Pixels:
    return render(factors, seed, (96, 128))


def reasons(pixels: Pixels) -> list[str]:
    scores = score_quality(measure_quality(pixels)[np.newaxis])
    return [reason for reason in QUALITY_REASONS if check_score(reason, scores[reason][0], THRESHOLDS[reason])]


def blurred(pixels: Pixels, radius: float) -> Pixels:
    return np.asarray(PIL.Image.fromarray(pixels).filter(PIL.ImageFilter.GaussianBlur(radius)))


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.zeros((128, 96, 3), np.uint8), "dark"),
        (np.full((128, 96, 3), 255, np.uint8), "light"),
        (np.full((128, 96, 3), 120, np.uint8), "low_information"),
        (blurred(portrait(1, light="day"), 8), "blurry"),
        (np.asarray(portrait(1, light="day") // 20, np.uint8), "dark"),
    ],
)
def test_a_broken_image_is_rejected_for_its_defect(pixels: Pixels, reason: str) -> None:
    assert reason in reasons(pixels)


@pytest.mark.parametrize("light", ["day", "dusk", "night", "indoor", "backlit"])
def test_the_darkest_skin_passes_in_every_light(light: str) -> None:
    rejections = [reasons(portrait(seed, light=light, skin_tone="monk_10", headwear="beanie")) for seed in range(8)]
    assert rejections == [[]] * 8


def test_scores_lie_between_zero_and_one() -> None:
    images = [portrait(2), np.zeros((4, 4, 3), np.uint8), np.full((2, 200, 3), 255, np.uint8)]
    scores = score_quality(np.stack([measure_quality(pixels) for pixels in images]))
    assert set(scores) == set(QUALITY_REASONS)
    for values in scores.values():
        assert values.shape == (3,)
        assert values.min() >= 0
        assert values.max() <= 1


def test_more_blur_scores_lower() -> None:
    images = [blurred(portrait(3, light="day"), radius) for radius in (0, 1, 2, 4, 8)]
    scores = score_quality(np.stack([measure_quality(pixels) for pixels in images]))["blurry"]
    assert (np.diff(scores) < 0).all()


def test_a_large_image_scores_like_its_small_copy() -> None:
    small = portrait(4)
    large = np.asarray(PIL.Image.fromarray(small).resize((960, 1280)))
    scores = score_quality(np.stack([measure_quality(small), measure_quality(large)]))
    for reason in QUALITY_REASONS:
        assert scores[reason][0] == pytest.approx(scores[reason][1], abs=0.12)

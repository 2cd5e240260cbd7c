"""Filters: what is broken scores low, what is merely dark does not, and only true copies are copies."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import PIL.ImageFilter
import pytest

from pipeline.config.params import load_params
from pipeline.curate.image_quality import QUALITY, find, measure_quality, score_quality
from pipeline.curate.near_duplicates import find_copies
from pipeline.data.hashing import hash_share
from pipeline.data.perceptual_hash import differing_share, fingerprint, near_pairs
from pipeline.data.preprocess import Pixels, decode
from pipeline.data.records import Image
from pipeline.renderer import render

CURATE = load_params().curate
THRESHOLDS = {reason: float(getattr(CURATE, reason)) for reason in QUALITY}


def portrait(seed: int, **factors: str) -> Pixels:
    return render(factors, seed, (96, 128))


def record(label: str = "helmet", group: str = "g", **factors: str) -> Image:
    place = {"shard": "s", "offset": 0, "size_bytes": 1, "sha256": "0", "width": 96, "height": 128}
    return Image.model_validate({"id": "i", "group": group, "label": label, "factors": factors, **place})


def reasons(pixels: Pixels) -> list[str]:
    scores = score_quality(measure_quality(pixels)[np.newaxis])
    return [reason for reason in QUALITY if find(reason, scores[reason][0], THRESHOLDS[reason])]


def blurred(pixels: Pixels, radius: float) -> Pixels:
    return np.asarray(PIL.Image.fromarray(pixels).filter(PIL.ImageFilter.GaussianBlur(radius)))


def as_jpeg(pixels: Pixels, quality: int) -> Pixels:
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return decode(buffer.getvalue())


def test_a_score_below_its_threshold_is_a_finding_and_zero_switches_off() -> None:
    found = find("dark", 0.05, 0.08)
    assert found is not None
    assert (found.reason, found.score, found.threshold) == ("dark", 0.05, 0.08)
    assert find("dark", 0.08, 0.08) is None
    assert find("dark", 0.0, 0.0) is None


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
def test_a_broken_picture_is_found_for_what_it_is(pixels: Pixels, reason: str) -> None:
    assert reason in reasons(pixels)


@pytest.mark.parametrize("light", ["day", "dusk", "night", "indoor", "backlit"])
def test_the_darkest_skin_passes_in_every_light(light: str) -> None:
    found = [reasons(portrait(seed, light=light, skin_tone="monk_10", headwear="beanie")) for seed in range(8)]
    assert found == [[]] * 8


def test_scores_lie_between_zero_and_one() -> None:
    pictures = [portrait(2), np.zeros((4, 4, 3), np.uint8), np.full((2, 200, 3), 255, np.uint8)]
    scores = score_quality(np.stack([measure_quality(pixels) for pixels in pictures]))
    assert set(scores) == set(QUALITY)
    for values in scores.values():
        assert values.shape == (3,)
        assert values.min() >= 0
        assert values.max() <= 1


def test_more_blur_scores_lower() -> None:
    pictures = [blurred(portrait(3, light="day"), radius) for radius in (0, 1, 2, 4, 8)]
    scores = score_quality(np.stack([measure_quality(pixels) for pixels in pictures]))["blurry"]
    assert (np.diff(scores) < 0).all()


def test_a_large_picture_scores_like_its_small_copy() -> None:
    small = portrait(4)
    large = np.asarray(PIL.Image.fromarray(small).resize((960, 1280)))
    scores = score_quality(np.stack([measure_quality(small), measure_quality(large)]))
    for reason in QUALITY:
        assert scores[reason][0] == pytest.approx(scores[reason][1], abs=0.12)


def test_re_encoding_and_resizing_hardly_change_a_fingerprint() -> None:
    pixels = portrait(5, light="day")
    smaller = np.asarray(PIL.Image.fromarray(pixels).resize((72, 96)))
    prints = np.stack([fingerprint(copy) for copy in (as_jpeg(pixels, 40), smaller)])
    assert differing_share(fingerprint(pixels), prints).max() < CURATE.near_duplicate
    other = fingerprint(portrait(6, light="day"))
    assert differing_share(fingerprint(pixels), other[None])[0] > 0.2


def test_near_pairs_are_reported_once_and_in_order() -> None:
    prints = np.array([[0, 0, 0], [1, 0, 0], [2**63, 2**40 - 1, 0], [1, 0, 0]], np.uint64)
    assert list(near_pairs(prints, prints, 0.01)) == [(0, 1, 1 / 144), (0, 3, 1 / 144), (1, 3, 0.0)]
    assert list(near_pairs(prints, prints, 0.0)) == []


def test_the_first_of_several_copies_stays() -> None:
    pixels = portrait(7)
    prints = np.stack([fingerprint(each) for each in (pixels, portrait(8), as_jpeg(pixels, 60), pixels)])
    copies = find_copies(prints, [record()] * 4, CURATE.near_duplicate)
    assert {copy: original for copy, (original, _) in copies.items()} == {2: 0, 3: 0}
    assert copies[3][1] == 0.0
    assert find_copies(prints, [record()] * 4, 0.0) == {}


def test_a_picture_is_a_copy_only_of_one_that_stays() -> None:
    step = [0, 0b1111, 0b11111111]
    prints = np.array([[value, 0, 0] for value in step], np.uint64)
    assert set(find_copies(prints, [record()] * 3, 5 / 144)) == {1}


def test_another_label_is_never_a_copy() -> None:
    prints = np.stack([fingerprint(portrait(9))] * 2)
    assert find_copies(prints, [record("helmet"), record("no_helmet")], 0.5) == {}


def test_a_counterfactual_that_got_the_same_label_is_left_to_the_label_check() -> None:
    prints = np.stack([fingerprint(portrait(9))] * 2)
    pair = [record(headwear="cap"), record(headwear="road_helmet")]
    assert find_copies(prints, pair, 0.5) == {}
    assert set(find_copies(prints, [pair[0], record(group="other", headwear="road_helmet")], 0.5)) == {1}


def test_other_seeds_of_a_caption_are_no_copies() -> None:
    factors = {"headwear": "road_helmet", "light": "day", "place": "park", "skin_tone": "monk_05"}
    prints = np.stack([fingerprint(portrait(seed, **factors)) for seed in range(8)])
    assert find_copies(prints, [record(**factors)] * 8, CURATE.near_duplicate) == {}


def test_a_hash_share_is_stable_and_even() -> None:
    shares = np.array([hash_share(1, f"scene-{number}") for number in range(2000)])
    assert shares[0] == pytest.approx(hash_share(1, "scene-0"))
    assert hash_share(1, "scene-0") != hash_share(2, "scene-0")
    assert shares.min() >= 0
    assert shares.max() < 1
    assert np.histogram(shares, 4, (0, 1))[0] == pytest.approx([500] * 4, abs=80)

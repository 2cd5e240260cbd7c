"""Near duplicates: only images that repeat an earlier image of the same label, and never counterfactuals."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image

from pipeline.config.params import load_params
from pipeline.curate.near_duplicates import find_near_duplicates
from pipeline.data.decoding.decode import decode
from pipeline.data.perceptual_hash import fingerprint
from pipeline.data.preprocess import Pixels
from pipeline.data.records import Image
from pipeline.renderer import render

THRESHOLD = load_params().curate.near_duplicate


def portrait(seed: int, **factors: str) -> Pixels:
    return render(factors, seed, (96, 128))


def record(label: str = "helmet", group: str = "g", **factors: str) -> Image:
    fields = {"shard": "s", "offset": 0, "size_bytes": 1, "sha256": "0", "width": 96, "height": 128}
    return Image.model_validate({"id": "i", "group": group, "label": label, "factors": factors, **fields})


def as_jpeg(pixels: Pixels, quality: int) -> Pixels:
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return decode(buffer.getvalue())


def test_the_first_of_several_duplicates_is_kept() -> None:
    pixels = portrait(7)
    hashes = np.stack([fingerprint(image) for image in (pixels, portrait(8), as_jpeg(pixels, 60), pixels)])
    duplicates = find_near_duplicates(hashes, [record()] * 4, THRESHOLD)
    assert {row: original for row, (original, _) in duplicates.items()} == {2: 0, 3: 0}
    assert duplicates[3][1] == 0.0
    assert find_near_duplicates(hashes, [record()] * 4, 0.0) == {}


def test_images_are_compared_only_with_images_that_are_no_duplicates() -> None:
    codes = [0, 0b1111, 0b11111111]
    hashes = np.array([[value, 0, 0] for value in codes], np.uint64)
    assert set(find_near_duplicates(hashes, [record()] * 3, 5 / 144)) == {1}


def test_an_image_of_another_label_is_never_a_duplicate() -> None:
    hashes = np.stack([fingerprint(portrait(9))] * 2)
    assert find_near_duplicates(hashes, [record("helmet"), record("no_helmet")], 0.5) == {}


def test_a_counterfactual_is_never_a_duplicate_even_under_the_same_label() -> None:
    hashes = np.stack([fingerprint(portrait(9))] * 2)
    pair = [record(headwear="cap"), record(headwear="road_helmet")]
    assert find_near_duplicates(hashes, pair, 0.5) == {}
    assert set(find_near_duplicates(hashes, [pair[0], record(group="other", headwear="road_helmet")], 0.5)) == {1}


def test_other_noise_seeds_of_a_caption_are_no_duplicates() -> None:
    factors = {"headwear": "road_helmet", "light": "day", "place": "park", "skin_tone": "monk_05"}
    hashes = np.stack([fingerprint(portrait(seed, **factors)) for seed in range(8)])
    assert find_near_duplicates(hashes, [record(**factors)] * 8, THRESHOLD) == {}

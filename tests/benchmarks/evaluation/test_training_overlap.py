"""A photograph that is also a training image is found, however it was re-encoded."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from benchmarks.evaluation.selfie_sets import RENDERED_CARD, SelfieFolder
from benchmarks.evaluation.training_overlap import (
    find_overlaps,
    read_training_images,
    refuse_overlapping_sets,
)
from pipeline.data.preprocess import encode_png
from pipeline.data.shards import Encoded, read_bytes, repack, write_images
from pipeline.errors import DataError
from tests.benchmarks.small_task import write_photographs, write_selfies


def picture(seed: int) -> PIL.Image.Image:
    """A smooth picture; those of different seeds show different things."""
    coarse = np.random.default_rng(seed).integers(0, 255, (8, 6, 3), dtype=np.uint8)
    return PIL.Image.fromarray(coarse).resize((60, 80), PIL.Image.Resampling.BICUBIC)


def as_jpeg(image: PIL.Image.Image) -> PIL.Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=40)
    return PIL.Image.open(buffer)


def brighter(image: PIL.Image.Image) -> PIL.Image.Image:
    pixels: NDArray[np.floating] = np.asarray(image) * 1.2
    return PIL.Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


CHANGES = {
    "as JPEG": as_jpeg,
    "half the size": lambda image: image.resize((30, 40)),
    "mirrored": lambda image: image.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT),
    "brighter": brighter,
}


@pytest.mark.parametrize("change", list(CHANGES))
def test_a_changed_copy_is_found_and_other_pictures_are_not(tmp_path: Path, change: str) -> None:
    images = [(seed, np.asarray(picture(seed))) for seed in range(20)]
    encoded = (Encoded(f"t{seed}", "g", "helmet", {}, encode_png(pixels), 60, 80) for seed, pixels in images)
    write_images(tmp_path / "images", encoded, 20)
    pictures = [np.asarray(CHANGES[change](picture(7)).convert("RGB")), np.asarray(picture(99))]
    training = read_training_images(tmp_path / "images")
    assert training is not None
    found = find_overlaps(["copy", "other"], pictures, training)
    assert list(map(str, found)) == ["copy (nearly the same as t7)"]


def test_a_packed_test_set_with_a_training_image_is_refused_by_name_and_rendered_selfies_are_not_compared(
    tmp_path: Path,
) -> None:
    rows = write_selfies(tmp_path)
    street = write_photographs(tmp_path)
    own = repack(street.rows[3], read_bytes(street.folder, street.rows[3]))
    write_images(tmp_path / "images", [replace(own, id="t0")], 20)
    training = read_training_images(tmp_path / "images")
    refuse_overlapping_sets([SelfieFolder(RENDERED_CARD, tmp_path, rows)], training)
    with pytest.raises(DataError, match=rf"test set street: .*{own.id} \(the same picture as t0\)"):
        refuse_overlapping_sets([street], training)


def test_without_training_images_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    assert read_training_images(tmp_path / "images") is None

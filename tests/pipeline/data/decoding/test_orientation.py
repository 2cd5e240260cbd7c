"""EXIF orientation: all eight, in both byte orders, and none of malformed data."""

from __future__ import annotations

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest

from pipeline.data.decoding.decode import decode
from pipeline.data.decoding.orientation import UPRIGHT, read_orientation
from tests.pipeline.data.decoding.pictures import encode, exif_block

PIXELS = np.random.default_rng(3).integers(0, 256, (40, 30, 3), np.uint8)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_every_orientation_is_applied_as_pillow_applies_it(form: str, orientation: int, order: str) -> None:
    data = encode(PIXELS, form, exif=exif_block(orientation, order))
    upright = PIL.Image.fromarray(decode(encode(PIXELS, form)))
    upright.getexif()[0x0112] = orientation
    np.testing.assert_array_equal(decode(data), np.asarray(PIL.ImageOps.exif_transpose(upright)))


def test_a_photograph_on_its_side_is_turned() -> None:
    turned = decode(encode(PIXELS, "PNG", exif=exif_block(6)))
    np.testing.assert_array_equal(turned, np.rot90(PIXELS, -1))


@pytest.mark.parametrize(
    "exif",
    [
        None,
        "text",
        b"",
        b"Exif\0\0",
        b"Exif\0\0II*\0",
        b"Exif\0\0garbage that is no TIFF header",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        exif_block(6)[:20],
        exif_block(6, kind=2),
        exif_block(6, values=70_000),
        exif_block(6, kind=65_535),
    ],
)
def test_malformed_exif_counts_as_upright(exif: object) -> None:
    assert read_orientation(exif) == UPRIGHT


def test_a_long_value_and_a_repeated_prefix_are_understood() -> None:
    assert read_orientation(exif_block(8, kind=4)) == 8
    assert read_orientation(b"Exif\0\0" + exif_block(8, ">")) == 8


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_no_exif_block_whatsoever_costs_a_photograph_or_prints_a_warning(form: str) -> None:
    rng = np.random.default_rng(7)
    whole = np.frombuffer(exif_block(3)[6:] + bytes(40), np.uint8)
    for _ in range(60):
        broken = whole[: rng.integers(1, len(whole))].copy()
        broken[rng.integers(0, len(broken), 4)] = rng.integers(0, 256, 4)
        assert decode(encode(PIXELS, form, exif=b"Exif\0\0" + broken.tobytes())).size == PIXELS.size

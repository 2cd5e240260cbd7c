"""Formats are recognised by content, and each that is read has limits."""

from __future__ import annotations

import PIL.Image
import pytest

from pipeline.data.decoding.file_formats import READABLE, SIGNATURE_BYTES, SUFFIXES, name_format
from tests.pipeline.data.decoding.pictures import encode

PICTURE = PIL.Image.new("RGB", (8, 6), (200, 30, 10))


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("JPEG", "JPEG"),
        ("MPO", "JPEG"),
        ("PNG", "PNG"),
        ("WEBP", "WebP"),
        ("GIF", "GIF"),
        ("BMP", "BMP"),
        ("TIFF", "TIFF or raw"),
        ("EPS", "PostScript (EPS)"),
        ("PDF", "PDF"),
        ("AVIF", "AVIF"),
        ("JPEG2000", "JPEG 2000"),
        ("ICO", "Windows icon"),
    ],
)
def test_a_format_is_named_by_its_first_bytes(form: str, name: str) -> None:
    assert name_format(encode(PICTURE, form)[:SIGNATURE_BYTES]) == name


@pytest.mark.parametrize(
    ("brands", "name"),
    [
        (b"heic\0\0\0\0mif1heic", "HEIC"),
        (b"mif1\0\0\0\0mif1heic", "HEIC"),
        (b"mif1\0\0\0\0mif1avif", "AVIF"),
        (b"avif\0\0\0\0mif1miaf", "AVIF"),
        (b"qt  \0\0\0\0qt  qt  ", "video (MP4 or QuickTime)"),
        (b"isom\0\0\0\0mp42isom", "video (MP4 or QuickTime)"),
        (b"crx \0\0\0\1crx isom", "Canon raw"),
    ],
)
def test_heic_avif_and_videos_are_told_apart_by_their_brands(brands: bytes, name: str) -> None:
    assert name_format((8 + len(brands)).to_bytes(4, "big") + b"ftyp" + brands) == name


@pytest.mark.parametrize("data", [b"", b"\0", b"ftyp", b"\0\0\0\0ftyp", b"RIFF", b"a note on photographs"])
def test_any_bytes_can_be_named(data: bytes) -> None:
    assert name_format(data) not in READABLE


def test_every_readable_format_has_limits_and_suffixes() -> None:
    for limits in READABLE.values():
        assert 0 < limits.max_pixels < PIL.Image.MAX_IMAGE_PIXELS
        assert limits.max_bytes > 0
        assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in limits.suffixes)
    assert {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".heic"} <= set(SUFFIXES)


def test_a_motion_photograph_is_a_jpeg() -> None:
    assert name_format(encode(PICTURE, "JPEG") + b"\0\0\0\x18ftypmp42") == "JPEG"

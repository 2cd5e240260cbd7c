"""The decoder: listed formats with limits, no helper programs, and one error with a reason for every broken file."""

from __future__ import annotations

import builtins
import os
import pickle
import struct
import subprocess
import sys
import types
import zlib

import numpy as np
import PIL.Image
import pytest

from pipeline.data.decoding import decode as decoder
from pipeline.data.decoding.decode import decode, displays_alike
from pipeline.data.decoding.file_formats import READABLE, FormatLimits
from pipeline.errors import ImageError
from tests.pipeline.data.decoding.pictures import encode, exif_block

PIXELS = np.asarray(
    PIL.Image.fromarray(np.random.default_rng(3).integers(0, 256, (8, 6, 3), np.uint8)).resize((48, 64))
)
HEIC_HEADER = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def samples() -> dict[str, bytes]:
    """A small picture in every mode of every format, with metadata."""
    rgb = PIL.Image.fromarray(PIXELS)
    grey, alpha = rgb.convert("L"), rgb.copy()
    alpha.putalpha(grey)
    deep = PIL.Image.fromarray(np.arange(64 * 48, dtype=np.uint16).reshape(64, 48) * 21)
    exif = exif_block(6)
    frames = [rgb.rotate(90), rgb]
    return {
        "jpeg": encode(rgb, "JPEG", exif=exif),
        "progressive": encode(rgb, "JPEG", progressive=True),
        "grey jpeg": encode(grey, "JPEG"),
        "cmyk": encode(rgb.convert("CMYK"), "JPEG"),
        "mpo": encode(rgb, "MPO", save_all=True, append_images=frames),
        "png": encode(rgb, "PNG", exif=exif),
        "palette": encode(rgb.quantize(20), "PNG", transparency=bytes(range(0, 200, 10))),
        "grey alpha": encode(PIL.Image.merge("LA", [grey, grey]), "PNG"),
        "alpha": encode(alpha, "PNG"),
        "bilevel": encode(rgb.convert("1"), "PNG", transparency=1),
        "16 bits": encode(deep, "PNG"),
        "apng": encode(rgb, "PNG", save_all=True, append_images=frames),
        "webp": encode(rgb, "WEBP", exif=exif),
        "lossless": encode(alpha, "WEBP", lossless=True),
        "animated": encode(rgb, "WEBP", save_all=True, append_images=frames),
    }


def png_header(width: int, height: int) -> bytes:
    """A PNG of black pixels in one short stream, which decodes to a size of choice."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("name", samples())
def test_every_mode_of_every_format_becomes_rgb(name: str) -> None:
    pixels = decode(samples()[name])
    assert pixels.dtype == np.uint8
    assert sorted(pixels.shape) == [3, 48, 64]


@pytest.mark.parametrize("name", ["apng", "mpo", "animated"])
def test_of_several_images_in_a_file_the_first_is_read(name: str) -> None:
    first = decode(samples()[name]).astype(int).mean(axis=2)
    still = decode(encode(PIXELS, "PNG")).astype(int).mean(axis=2)
    assert np.abs(first - still).mean() < 4


def test_plain_images_decode_exactly_as_with_pillow_alone() -> None:
    assert np.array_equal(decode(encode(PIXELS, "PNG")), PIXELS)


@pytest.mark.parametrize("form", ["EPS", "AVIF", "TIFF", "GIF", "BMP", "PDF", "PPM", "TGA", "JPEG2000", "PCX", "DDS"])
def test_every_other_format_is_one_error_with_a_reason(form: str) -> None:
    with pytest.raises(ImageError, match=r"a\.jpg: cannot be decoded \(.*expected a whole JPEG, PNG, WebP or HEIC"):
        decode(encode(PIXELS, form), "a.jpg")


def test_a_postscript_file_named_jpg_starts_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **_: object) -> None:
        raise AssertionError(f"started {arguments}")

    for name in ("Popen", "run", "check_call", "call"):
        monkeypatch.setattr(subprocess, name, refuse)
    monkeypatch.setattr(os, "system", refuse)
    with pytest.raises(ImageError, match="the format is PostScript") as caught:
        decode(encode(PIXELS, "EPS"), "helmet/a.jpg")
    assert caught.value.reason == "unsupported_format"


@pytest.mark.parametrize(
    ("data", "reason", "words"),
    [
        (b"", "unreadable", "the file is empty"),
        (b"not an image", "unreadable", "of no known format"),
        (encode(PIXELS, "PNG")[:200], "unreadable", "truncated"),
        (encode(PIXELS, "JPEG")[:-100], "unreadable", "truncated"),
        (encode(PIXELS, "WEBP")[:100], "unreadable", ""),
        (b"\xff\xd8\xff torn", "unreadable", ""),
        (b"\x89PNG\r\n\x1a\n", "unreadable", "the first chunk is not IHDR"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "unreadable", ""),
    ],
)
def test_a_damaged_file_is_an_error_with_its_place_and_reason(data: bytes, reason: str, words: str) -> None:
    with pytest.raises(ImageError, match=rf"photos/7\.png: cannot be decoded \(.*{words}") as caught:
        decode(data, "photos/7.png")
    assert caught.value.reason == reason


@pytest.mark.parametrize("size", [(13_300, 13_300), (8_000, 6_501), (2**31 - 1, 1), (60_000, 60_000)])
def test_too_many_pixels_are_refused_before_they_are_decoded(size: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match=r"\d+ x \d+ pixels\); expected at most 52 megapixels") as caught:
        decode(png_header(*size))
    assert caught.value.reason == "too_large"


def test_a_webp_that_declares_too_many_pixels_is_refused_before_memory_is_reserved() -> None:
    canvas = (16_382).to_bytes(3, "little") * 2
    extended = b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + canvas
    for data in (extended, extended[:12] + b"VP8L" + struct.pack("<IBI", 5, 0x2F, 0xFFFFFFF) + bytes(10)):
        with pytest.raises(ImageError, match="expected at most 52 megapixels"):
            decode(data)


def test_a_jpeg_that_declares_too_many_pixels_is_refused() -> None:
    data = bytearray(encode(PIXELS, "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", 13_300, 13_300)
    with pytest.raises(ImageError, match="13300 x 13300 pixels"):
        decode(bytes(data))


def test_too_many_bytes_are_refused_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "READABLE", {**READABLE, "PNG": FormatLimits((".png",), 1 << 10)})
    with pytest.raises(ImageError, match="expected a PNG of at most") as caught:
        decode(encode(PIXELS, "PNG", compress_level=0))
    assert caught.value.reason == "too_large"


def test_a_progressive_jpeg_that_repeats_its_scans_is_refused() -> None:
    data = encode(PIL.Image.new("L", (4000, 3000), 128), "JPEG", progressive=True)
    first = data.index(b"\xff\xda")
    second = data.index(b"\xff\xda", first + 2)
    repeated = data[:second] + data[first:second] * 100 + data[second:]
    with pytest.raises(ImageError, match="scans of 4000 x 3000 pixels"):
        decode(repeated)


def test_a_video_after_the_image_does_not_count_as_scans() -> None:
    data = encode(PIXELS, "JPEG")
    assert np.array_equal(decode(data + b"\xff\xda" * 1_000_000), decode(data))


def test_text_and_animation_chunks_cannot_spoil_a_png() -> None:
    plain = encode(PIXELS, "PNG")
    for name, body in ((b"acTL", bytes(8)), (b"fcTL", b"\1" * 26), (b"zTXt", b"a\0\5"), (b"tEXt", bytes(2 << 20))):
        chunk = struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        assert np.array_equal(decode(plain[:33] + chunk + plain[33:]), PIXELS)


@pytest.mark.parametrize("name", samples())
def test_damaged_bytes_of_every_format_decode_or_are_one_error(name: str) -> None:
    rng = np.random.default_rng([5, len(name)])
    whole = np.frombuffer(samples()[name], np.uint8)
    for _ in range(60):
        data = whole[: rng.integers(1, len(whole))] if rng.random() < 0.3 else whole
        data = data.copy()
        reach = min(len(data), rng.choice([64, 400, 100_000]))
        places = rng.integers(0, reach, rng.integers(1, 6))
        data[places] = rng.choice([0, 1, 127, 255, *rng.integers(0, 256, 4)], len(places))
        try:
            pixels = decode(data.tobytes())
        except ImageError as error:
            assert error.reason in {"unreadable", "unsupported_format", "too_large", "needs_pillow_heif"}  # noqa: PT017
        else:
            assert (pixels.dtype, pixels.shape[2]) == (np.uint8, 3)


def test_heic_without_its_optional_package_is_named_with_the_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = builtins.__import__

    def absent(name: str, *arguments: object) -> object:
        if name == "pillow_heif":
            raise ImportError(name)
        return genuine(name, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(ImageError, match=r"b\.heic: not decoded .*pip install pillow-heif, or convert it") as caught:
        decode(HEIC_HEADER, "b.heic")
    assert caught.value.reason == "needs_pillow_heif"


def test_the_error_of_a_worker_process_keeps_its_reason() -> None:
    error = pickle.loads(pickle.dumps(ImageError("a.jpg: too large", "too_large")))  # noqa: S301 - our own bytes
    assert (str(error), error.reason) == ("a.jpg: too large", "too_large")


class StandIn:
    """What pillow-heif returns for a HEIC that was opened but not decoded."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size

    def to_pillow(self) -> PIL.Image.Image:
        assert self.size[0] < 1000, "decoded"
        image = PIL.Image.fromarray(PIXELS)
        image.info["exif"] = exif_block(6)
        return image


@pytest.mark.parametrize("size", [(48, 64), (13_300, 13_300)])
def test_heic_goes_through_pillow_heif_upright_and_within_the_limits(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    stand_in = types.ModuleType("pillow_heif")
    vars(stand_in)["open_heif"] = lambda _, convert_hdr_to_8bit: StandIn(size) if convert_hdr_to_8bit else None
    monkeypatch.setitem(sys.modules, "pillow_heif", stand_in)
    if size == (48, 64):  # libheif has turned it already
        np.testing.assert_array_equal(decode(HEIC_HEADER), PIXELS)
    else:
        with pytest.raises(ImageError, match="expected at most 52 megapixels"):
            decode(HEIC_HEADER)


def test_a_real_heic_is_read_where_pillow_heif_is_installed() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    flat = PIL.Image.new("RGB", (64, 48), (200, 30, 10))
    pillow_heif.register_heif_opener()
    data = encode(flat, "HEIF", quality=100)
    assert np.abs(decode(data).astype(int) - np.asarray(flat)).max() <= 3
    with pytest.raises(ImageError):
        decode(data[: len(data) // 2])


def test_a_browser_is_sent_other_bytes_only_where_it_would_show_other_pixels() -> None:
    shown = {name for name, data in samples().items() if displays_alike(data)}
    assert shown == {"jpeg", "progressive", "grey jpeg", "mpo", "png", "apng"}
    assert not displays_alike(b"")
    assert not displays_alike(encode(PIXELS, "PNG")[:20])

"""Bit depth, transparency and colour profiles, on pictures whose pixels are known."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest
from numpy.typing import NDArray

from pipeline.data.decoding.decode import decode
from tests.pipeline.data.decoding.pictures import ADOBE_RGB, DISPLAY_P3, SRGB, encode, grey_profile, rgb_profile

WHITE = (255, 255, 255)
RED = (200, 30, 10)


def flat(colour: tuple[int, ...], mode: str = "RGB") -> PIL.Image.Image:
    return PIL.Image.new(mode, (4, 3), colour if len(colour) > 1 else colour[0])


def png(samples: list[list[int]], depth: int, colour_type: int, key: bytes = b"") -> bytes:
    """Encode rows of samples as PNG, by hand: Pillow does not write every depth."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour_type]
    rows = b""
    for row in samples:
        bits = "".join(f"{sample:0{depth}b}" for sample in row)
        rows += b"\0" + int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    header = struct.pack(">IIBBBBB", len(samples[0]) // channels, len(samples), depth, colour_type, 0, 0, 0)
    body = chunk(b"IHDR", header) + (chunk(b"tRNS", key) if key else b"")
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def grey_levels(data: bytes) -> list[list[int]]:
    """The pixels of a picture that must be grey."""
    pixels = decode(data)
    assert (pixels == pixels[..., :1]).all()
    levels: list[list[int]] = pixels[..., 0].tolist()
    return levels


def linear(level: float) -> float:
    share = level / 255
    return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4


def srgb_of(colour: tuple[int, ...], primaries: tuple[tuple[float, ...], ...], gamma: float) -> NDArray[np.float64]:
    """Convert a colour to sRGB by the formulas of IEC 61966-2-1, clipped to its gamut."""
    xyz = np.array(primaries).T @ (np.array(colour) / 255) ** gamma
    rgb = np.clip(np.linalg.inv(np.array(SRGB).T) @ xyz, 0, 1)
    encoded = np.where(rgb <= 0.0031308, 12.92 * rgb, 1.055 * rgb ** (1 / 2.4) - 0.055)
    return np.asarray(encoded * 255)


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    values = [[0, 128, 129, 257, 32_768, 65_406, 65_407, 65_535]]
    expected = [[0, 0, 1, 1, 128, 254, 255, 255]]
    assert grey_levels(png(values, 16, 0)) == expected
    assert grey_levels(encode(PIL.Image.fromarray(np.array(values, np.uint16)), "PNG")) == expected


def test_sixteen_bit_colour_and_grey_with_alpha_are_scaled() -> None:
    assert decode(png([[65_535, 0x8080, 0]], 16, 2)).tolist() == [[[255, 128, 0]]]
    assert grey_levels(png([[0x4040, 65_535, 0x4040, 0]], 16, 4)) == [[64, 255]]


@pytest.mark.parametrize(("depth", "highest"), [(1, 1), (2, 3), (4, 15)])
def test_grey_of_few_bits_spans_black_to_white(depth: int, highest: int) -> None:
    assert grey_levels(png([[0, highest]], depth, 0)) == [[0, 255]]


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_a_hidden_colour_under_full_transparency_does_not_show(form: str) -> None:
    image = flat((*RED, 0), "RGBA")
    assert (decode(encode(image, form, lossless=True, exact=True)) == WHITE).all()


def test_half_transparency_mixes_with_white() -> None:
    assert decode(encode(flat((0, 100, 255, 51), "RGBA"), "PNG"))[0, 0].tolist() == [204, 224, 255]
    assert decode(encode(flat((0, 51), "LA"), "PNG"))[0, 0].tolist() == [204, 204, 204]


def test_an_opaque_alpha_channel_changes_nothing() -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)
    rgba = np.dstack([rgb, np.full((20, 30), 255, np.uint8)])
    np.testing.assert_array_equal(decode(encode(rgba, "PNG")), rgb)


@pytest.mark.parametrize(("depth", "key"), [(1, 1), (2, 2), (4, 9), (8, 200), (16, 40_000)])
def test_the_transparent_level_of_a_grey_png_becomes_white_at_every_depth(depth: int, key: int) -> None:
    levels = grey_levels(png([[0, key, 0]], depth, 0, struct.pack(">H", key)))
    assert levels == [[0, 255, 0]]


@pytest.mark.parametrize("depth", [8, 16])
def test_the_transparent_colour_of_a_png_becomes_white(depth: int) -> None:
    scale = 257 if depth == 16 else 1
    colour = [value * scale for value in RED]
    other = [value * scale for value in (200, 30, 11)]
    pixels = decode(png([colour + other], depth, 2, struct.pack(">3H", *colour)))
    assert pixels.tolist() == [[[255, 255, 255], [200, 30, 11]]]


def test_palettes_are_looked_up_and_their_transparency_composed() -> None:
    image = PIL.Image.new("P", (3, 1))
    image.putpalette([*RED, 10, 20, 30, 0, 0, 0])
    image.putdata([0, 1, 2])
    assert decode(encode(image, "PNG"))[0].tolist() == [[*RED], [10, 20, 30], [0, 0, 0]]
    by_index = decode(encode(image, "PNG", transparency=1))[0].tolist()
    assert by_index == [[*RED], [255, 255, 255], [0, 0, 0]]
    by_alpha = decode(encode(image, "PNG", transparency=bytes([255, 0, 51])))[0].tolist()
    assert by_alpha == [[*RED], [255, 255, 255], [204, 204, 204]]


@pytest.mark.parametrize(("primaries", "gamma"), [(ADOBE_RGB, 2.19921875), (DISPLAY_P3, 2.2)])
@pytest.mark.parametrize("colour", [(128, 128, 128), (200, 30, 10), (60, 180, 90), (250, 250, 20), (0, 0, 0), WHITE])
@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_wide_gamut_profiles_are_converted_to_srgb(
    form: str, colour: tuple[int, ...], primaries: tuple[tuple[float, ...], ...], gamma: float
) -> None:
    data = encode(flat(colour), form, icc_profile=rgb_profile(primaries, gamma), lossless=True)
    np.testing.assert_allclose(decode(data)[0, 0], srgb_of(colour, primaries, gamma), atol=2)


def test_a_wide_gamut_jpeg_looks_like_the_same_png() -> None:
    profile = rgb_profile(DISPLAY_P3, 2.2)
    jpeg = decode(encode(flat((60, 180, 90)), "JPEG", icc_profile=profile, quality=100, subsampling=0))
    np.testing.assert_allclose(jpeg[0, 0], srgb_of((60, 180, 90), DISPLAY_P3, 2.2), atol=3)


def test_a_grey_profile_is_applied() -> None:
    level = decode(encode(flat((100,), "L"), "PNG", icc_profile=grey_profile(1.0)))[0, 0, 0]
    assert abs(linear(level) - 100 / 255) < 0.01


def test_alpha_is_composed_after_the_profile() -> None:
    profile = rgb_profile(ADOBE_RGB, 2.19921875)
    opaque = srgb_of((60, 180, 90), ADOBE_RGB, 2.19921875)
    half = decode(encode(flat((60, 180, 90, 51), "RGBA"), "PNG", icc_profile=profile))[0, 0]
    np.testing.assert_allclose(half, opaque * 0.2 + 255 * 0.8, atol=2)


def test_an_srgb_profile_changes_no_byte() -> None:
    rgb = np.random.default_rng(2).integers(0, 256, (40, 30, 3), np.uint8)
    own = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_array_equal(decode(encode(rgb, "PNG", icc_profile=own)), rgb)
    jpeg, tagged = encode(rgb, "JPEG"), encode(rgb, "JPEG", icc_profile=own)
    np.testing.assert_array_equal(decode(tagged), decode(jpeg))


@pytest.mark.parametrize(
    "profile",
    [b"garbage", rgb_profile(ADOBE_RGB, 2.2)[:200], grey_profile(1.0), bytes(200), b"\xff" * 4000, bytes(5 << 20)],
)
@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
def test_a_profile_that_is_broken_or_of_other_channels_is_ignored(form: str, profile: bytes) -> None:
    plain = decode(encode(flat(RED), form))
    np.testing.assert_array_equal(decode(encode(flat(RED), form, icc_profile=profile)), plain)


def test_inks_become_colours_and_no_ink_is_white() -> None:
    paper = decode(encode(flat((0, 0, 0, 0), "CMYK"), "JPEG", quality=100))
    assert (paper == 255).all()
    cyan = decode(encode(flat((255, 0, 0, 0), "CMYK"), "JPEG", quality=100))[0, 0]
    assert cyan[0] < 10
    assert min(cyan[1:]) > 245


def test_pillow_alone_would_have_shown_other_pixels() -> None:
    grey = encode(PIL.Image.fromarray(np.full((2, 2), 32_896, np.uint16)), "PNG")
    with PIL.Image.open(io.BytesIO(grey)) as image:
        assert np.asarray(image.convert("RGB")).min() == 255
    assert grey_levels(grey) == [[128, 128], [128, 128]]

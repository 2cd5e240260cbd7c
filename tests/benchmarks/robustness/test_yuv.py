"""NV21 has the values of the standards and the layout of Android; decoding it wrongly has the expected effects."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from benchmarks.robustness.yuv import Coding, Matrix, Range, decode, encode, encode_and_decode, swap_u_and_v

CODINGS = [Coding(matrix, levels) for matrix in get_args(Matrix) for levels in get_args(Range)]
FULL = Coding("bt601", "full")


def uniform(rgb: tuple[int, int, int]) -> np.ndarray:
    return np.full((4, 6, 3), rgb, np.uint8)


@pytest.mark.parametrize(
    ("coding", "rgb", "yvu"),
    [
        (FULL, (255, 0, 0), (76, 255, 85)),  # JFIF: Y 76.2, Cr 255.5, Cb 85
        (FULL, (255, 255, 255), (255, 128, 128)),
        (Coding("bt601", "limited"), (255, 255, 255), (235, 128, 128)),
        (Coding("bt601", "limited"), (0, 0, 0), (16, 128, 128)),
        (Coding("bt601", "limited"), (255, 0, 0), (81, 240, 90)),  # the red of BT.601 colour bars
        (Coding("bt709", "limited"), (255, 0, 0), (63, 240, 102)),  # the red of BT.709 colour bars
        (Coding("bt709", "limited"), (0, 0, 255), (32, 118, 240)),
    ],
)
def test_codes_are_those_of_the_standards(coding: Coding, rgb: tuple[int, int, int], yvu: tuple[int, int, int]) -> None:
    buffer = encode(uniform(rgb), coding)
    assert buffer.shape == (6, 6)
    assert set(buffer[:4].ravel().tolist()) == {yvu[0]}
    assert set(buffer[4:].ravel()[0::2].tolist()) == {yvu[1]}, "V comes first"
    assert set(buffer[4:].ravel()[1::2].tolist()) == {yvu[2]}


@pytest.mark.parametrize("coding", CODINGS)
def test_a_uniform_colour_survives_matching_encoding_and_decoding(coding: Coding) -> None:
    for rgb in ((0, 0, 0), (255, 255, 255), (200, 30, 90), (13, 180, 220)):
        decoded = encode_and_decode(uniform(rgb), coding, coding)
        assert np.abs(decoded.astype(int) - uniform(rgb)).max() <= 2


def test_grey_pixels_survive_because_only_chroma_is_subsampled() -> None:
    grey = np.random.default_rng(1).integers(0, 256, (8, 6, 1), np.uint8).repeat(3, axis=2)
    assert np.abs(encode_and_decode(grey, FULL, FULL).astype(int) - grey).max() <= 1


def test_the_four_pixels_of_a_block_share_their_mean_chroma() -> None:
    pixels = uniform((128, 128, 128))
    pixels[0, 0] = (255, 0, 0)
    decoded = encode_and_decode(pixels, FULL, FULL)
    assert decoded[1, 1, 0] > decoded[1, 1, 2]
    np.testing.assert_allclose(decoded[2:, 2:].astype(int), 128, atol=1)


def test_a_picture_with_odd_sides_keeps_its_size() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (7, 5, 3), np.uint8)
    assert encode_and_decode(pixels, FULL, FULL).shape == (7, 5, 3)


def test_limited_range_decoded_as_full_turns_black_and_white_grey() -> None:
    limited = Coding("bt601", "limited")
    assert encode_and_decode(uniform((0, 0, 0)), limited, FULL).tolist() == uniform((16, 16, 16)).tolist()
    assert encode_and_decode(uniform((255, 255, 255)), limited, FULL).tolist() == uniform((235, 235, 235)).tolist()


def test_decoding_with_the_other_matrix_shifts_colours_but_not_grey() -> None:
    encoded_with, decoded_with = Coding("bt601", "limited"), Coding("bt709", "limited")
    assert np.abs(encode_and_decode(uniform((90, 90, 90)), encoded_with, decoded_with).astype(int) - 90).max() <= 1
    assert (
        np.abs(encode_and_decode(uniform((200, 40, 40)), encoded_with, decoded_with).astype(int) - (200, 40, 40)).max()
        > 8
    )


def test_nv12_decoded_as_nv21_turns_red_to_blue() -> None:
    r, _, b = encode_and_decode(uniform((220, 60, 40)), FULL, FULL, swap_chroma=True)[0, 0]
    assert b > r
    buffer = encode(uniform((220, 60, 40)), FULL)
    np.testing.assert_array_equal(swap_u_and_v(swap_u_and_v(buffer)), buffer)
    np.testing.assert_array_equal(decode(buffer, FULL), encode_and_decode(uniform((220, 60, 40)), FULL, FULL))

"""NV21: the values that the standards give, the layout that Android gives, and what reading it wrongly does."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from benchmarks.robustness.yuv import Coding, Matrix, Range, decode, encode, pass_through, swap_colours

CODINGS = [Coding(matrix, levels) for matrix in get_args(Matrix) for levels in get_args(Range)]
FULL = Coding("bt601", "full")


def plain(rgb: tuple[int, int, int]) -> np.ndarray:
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
def test_codes_are_the_standards(coding: Coding, rgb: tuple[int, int, int], yvu: tuple[int, int, int]) -> None:
    buffer = encode(plain(rgb), coding)
    assert buffer.shape == (6, 6)
    assert set(buffer[:4].ravel().tolist()) == {yvu[0]}
    assert set(buffer[4:].ravel()[0::2].tolist()) == {yvu[1]}, "V comes first"
    assert set(buffer[4:].ravel()[1::2].tolist()) == {yvu[2]}


@pytest.mark.parametrize("coding", CODINGS)
def test_read_as_it_was_written_a_plain_colour_comes_back(coding: Coding) -> None:
    for rgb in ((0, 0, 0), (255, 255, 255), (200, 30, 90), (13, 180, 220)):
        seen = pass_through(plain(rgb), coding, coding)
        assert np.abs(seen.astype(int) - plain(rgb)).max() <= 2


def test_grey_survives_every_pixel_for_colour_alone_is_thinned() -> None:
    grey = np.random.default_rng(1).integers(0, 256, (8, 6, 1), np.uint8).repeat(3, axis=2)
    assert np.abs(pass_through(grey, FULL, FULL).astype(int) - grey).max() <= 1


def test_four_pixels_share_their_mean_colour() -> None:
    pixels = plain((128, 128, 128))
    pixels[0, 0] = (255, 0, 0)
    seen = pass_through(pixels, FULL, FULL)
    assert seen[1, 1, 0] > seen[1, 1, 2]
    np.testing.assert_allclose(seen[2:, 2:].astype(int), 128, atol=1)


def test_an_odd_picture_keeps_its_size() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (7, 5, 3), np.uint8)
    assert pass_through(pixels, FULL, FULL).shape == (7, 5, 3)


def test_limited_range_read_as_full_is_grey_where_it_was_black_and_white() -> None:
    limited = Coding("bt601", "limited")
    assert pass_through(plain((0, 0, 0)), limited, FULL).tolist() == plain((16, 16, 16)).tolist()
    assert pass_through(plain((255, 255, 255)), limited, FULL).tolist() == plain((235, 235, 235)).tolist()


def test_the_other_matrix_shifts_colours_but_leaves_grey() -> None:
    written, read = Coding("bt601", "limited"), Coding("bt709", "limited")
    assert np.abs(pass_through(plain((90, 90, 90)), written, read).astype(int) - 90).max() <= 1
    assert np.abs(pass_through(plain((200, 40, 40)), written, read).astype(int) - (200, 40, 40)).max() > 8


def test_nv12_read_as_nv21_turns_red_to_blue() -> None:
    r, _, b = pass_through(plain((220, 60, 40)), FULL, FULL, swapped=True)[0, 0]
    assert b > r
    buffer = encode(plain((220, 60, 40)), FULL)
    np.testing.assert_array_equal(swap_colours(swap_colours(buffer)), buffer)
    np.testing.assert_array_equal(decode(buffer, FULL), pass_through(plain((220, 60, 40)), FULL, FULL))

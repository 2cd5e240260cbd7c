"""Framing: EXIF's eight orientations there and back, cuts, bars, turns, zoom and JPEG."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest

from benchmarks.robustness import geometry
from pipeline.data.preprocess import PreprocessSpec, decode

PIXELS = np.random.default_rng(3).integers(0, 256, (40, 30, 3), np.uint8)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_stored_under_any_orientation_is_decoded_upright(orientation: int) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    PIL.Image.fromarray(geometry.store(PIXELS, orientation)).save(buffer, "PNG", exif=exif)
    np.testing.assert_array_equal(decode(buffer.getvalue()), PIXELS)


def test_the_eight_orientations_are_eight_pictures() -> None:
    assert len({geometry.store(PIXELS, orientation).tobytes() for orientation in range(1, 9)}) == 8


def test_a_mirror_undoes_itself() -> None:
    np.testing.assert_array_equal(geometry.mirror(geometry.mirror(PIXELS)), PIXELS)
    np.testing.assert_array_equal(geometry.mirror(PIXELS)[:, 0], PIXELS[:, -1])


def test_a_cut_takes_the_middle() -> None:
    tall = geometry.cut(PIXELS, 0.5)
    np.testing.assert_array_equal(tall, PIXELS[:, 5:25])
    wide = geometry.cut(PIXELS, 1.5)
    np.testing.assert_array_equal(wide, PIXELS[10:30])
    np.testing.assert_array_equal(geometry.cut(PIXELS, 0.75), PIXELS)


def test_bars_cut_nothing() -> None:
    boxed = geometry.letterbox(PIXELS, 1.0)
    assert boxed.shape == (40, 40, 3)
    np.testing.assert_array_equal(geometry.cut(boxed, 0.75), PIXELS)
    assert boxed[:, :5].max() == boxed[:, 35:].max() == 0
    np.testing.assert_array_equal(geometry.letterbox(PIXELS, 0.75), PIXELS)


def test_no_turn_and_no_zoom_change_nothing() -> None:
    np.testing.assert_array_equal(geometry.rotate(PIXELS, 0), PIXELS)
    np.testing.assert_array_equal(geometry.zoom(PIXELS, 1), PIXELS)


def test_a_turn_moves_the_top_to_the_left_and_the_other_way_back() -> None:
    dot = np.zeros((41, 41, 3), np.uint8)
    dot[2:5, 19:22] = 255
    left, right = (geometry.rotate(dot, degrees)[..., 0].sum(axis=0).argmax() for degrees in (15, -15))
    assert left < 18
    assert right > 22
    assert geometry.rotate(dot, 15).shape == dot.shape


def test_a_turn_brings_no_black_into_view() -> None:
    assert geometry.rotate(np.full((64, 48, 3), 90, np.uint8), 15).min() == 90


def test_zoom_enlarges_the_middle() -> None:
    spot = np.zeros((40, 40, 3), np.uint8)
    spot[15:25, 15:25] = 255
    near = geometry.zoom(spot, 2)
    assert near.shape == spot.shape
    assert near[12:28, 12:28].min() > 200
    assert near[0].max() == 0


@pytest.mark.parametrize("kind", ["nearest", "bilinear", "area"])
def test_every_filter_keeps_a_plain_frame_plain(kind: geometry.Filter) -> None:
    plain = np.full((100, 75, 3), (10, 120, 240), np.uint8)
    for fitting in ("crop", "pad"):
        spec = PreprocessSpec.model_validate({"input_size": (32, 24), "fit": fitting})
        seen = geometry.shrink(plain, 3, spec, kind)
        assert seen.shape == (32, 24, 3)
        np.testing.assert_array_equal(seen, np.broadcast_to(plain[0, 0], (32, 24, 3)))


def test_nearest_takes_the_pixel_that_opencv_takes() -> None:
    frame = np.arange(32 * 24, dtype=np.int64).reshape(32, 24, 1) % 251 * np.ones(3, np.int64)
    spec = PreprocessSpec(input_size=(8, 6))
    seen = geometry.shrink(frame.astype(np.uint8), 4, spec, "nearest")
    np.testing.assert_array_equal(seen, frame[::4, ::4])


def test_jpeg_of_lower_quality_is_further_from_the_picture() -> None:
    far = [np.abs(geometry.compress(PIXELS, quality).astype(int) - PIXELS).mean() for quality in (95, 30)]
    assert far[0] < far[1]


def test_a_large_frame_is_bounded_and_a_small_one_is_left_alone() -> None:
    spec = PreprocessSpec(input_size=(16, 12))
    assert geometry.bound(PIXELS, spec, 4) is PIXELS
    assert geometry.bound(PIXELS, spec, 2).shape == (32, 24, 3)
    wide = np.zeros((100, 400, 3), np.uint8)
    assert geometry.bound(wide, spec, 2).shape == (32, 128, 3)

"""EXIF orientations, crop, letterbox, rotation, zoom, resize filters and JPEG."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest

from benchmarks.robustness import geometry
from pipeline.data.decoding.decode import decode
from pipeline.data.preprocess import PreprocessSpec

PIXELS = np.random.default_rng(3).integers(0, 256, (40, 30, 3), np.uint8)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_stored_with_any_exif_orientation_is_decoded_upright(orientation: int) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    PIL.Image.fromarray(geometry.store_with_orientation(PIXELS, orientation)).save(buffer, "PNG", exif=exif)
    np.testing.assert_array_equal(decode(buffer.getvalue()), PIXELS)


def test_the_eight_orientations_store_eight_different_pictures() -> None:
    assert len({geometry.store_with_orientation(PIXELS, orientation).tobytes() for orientation in range(1, 9)}) == 8


def test_mirroring_twice_restores_the_picture() -> None:
    np.testing.assert_array_equal(geometry.mirror(geometry.mirror(PIXELS)), PIXELS)
    np.testing.assert_array_equal(geometry.mirror(PIXELS)[:, 0], PIXELS[:, -1])


def test_cropping_keeps_the_centre() -> None:
    tall = geometry.crop_to_aspect(PIXELS, 0.5)
    np.testing.assert_array_equal(tall, PIXELS[:, 5:25])
    wide = geometry.crop_to_aspect(PIXELS, 1.5)
    np.testing.assert_array_equal(wide, PIXELS[10:30])
    np.testing.assert_array_equal(geometry.crop_to_aspect(PIXELS, 0.75), PIXELS)


def test_letterboxing_keeps_the_whole_frame() -> None:
    letterboxed = geometry.letterbox(PIXELS, 1.0)
    assert letterboxed.shape == (40, 40, 3)
    np.testing.assert_array_equal(geometry.crop_to_aspect(letterboxed, 0.75), PIXELS)
    assert letterboxed[:, :5].max() == letterboxed[:, 35:].max() == 0
    np.testing.assert_array_equal(geometry.letterbox(PIXELS, 0.75), PIXELS)


def test_zero_degrees_and_zoom_one_change_nothing() -> None:
    np.testing.assert_array_equal(geometry.rotate(PIXELS, 0), PIXELS)
    np.testing.assert_array_equal(geometry.zoom(PIXELS, 1), PIXELS)


def test_positive_degrees_rotate_counter_clockwise() -> None:
    dot = np.zeros((41, 41, 3), np.uint8)
    dot[2:5, 19:22] = 255
    left, right = (geometry.rotate(dot, degrees)[..., 0].sum(axis=0).argmax() for degrees in (15, -15))
    assert left < 18
    assert right > 22
    assert geometry.rotate(dot, 15).shape == dot.shape


def test_rotation_fills_corners_without_black() -> None:
    assert geometry.rotate(np.full((64, 48, 3), 90, np.uint8), 15).min() == 90


def test_zoom_enlarges_the_centre() -> None:
    spot = np.zeros((40, 40, 3), np.uint8)
    spot[15:25, 15:25] = 255
    enlarged = geometry.zoom(spot, 2)
    assert enlarged.shape == spot.shape
    assert enlarged[12:28, 12:28].min() > 200
    assert enlarged[0].max() == 0


@pytest.mark.parametrize("resize_filter", ["nearest", "bilinear", "area"])
def test_every_filter_keeps_a_uniform_frame_uniform(resize_filter: geometry.Filter) -> None:
    uniform = np.full((100, 75, 3), (10, 120, 240), np.uint8)
    for fitting in ("crop", "pad"):
        spec = PreprocessSpec.model_validate({"input_size": (32, 24), "fit": fitting})
        resized = geometry.resize_with_filter(uniform, 3, spec, resize_filter)
        assert resized.shape == (32, 24, 3)
        np.testing.assert_array_equal(resized, np.broadcast_to(uniform[0, 0], (32, 24, 3)))


def test_nearest_takes_the_same_pixels_as_opencv() -> None:
    frame = np.arange(32 * 24, dtype=np.int64).reshape(32, 24, 1) % 251 * np.ones(3, np.int64)
    spec = PreprocessSpec(input_size=(8, 6))
    resized = geometry.resize_with_filter(frame.astype(np.uint8), 4, spec, "nearest")
    np.testing.assert_array_equal(resized, frame[::4, ::4])


def test_a_lower_jpeg_quality_changes_the_picture_more() -> None:
    errors = [np.abs(geometry.jpeg_compress(PIXELS, quality).astype(int) - PIXELS).mean() for quality in (95, 30)]
    assert errors[0] < errors[1]


def test_only_large_frames_are_scaled_down() -> None:
    spec = PreprocessSpec(input_size=(16, 12))
    assert geometry.limit_size(PIXELS, spec, 4) is PIXELS
    assert geometry.limit_size(PIXELS, spec, 2).shape == (32, 24, 3)
    wide = np.zeros((100, 400, 3), np.uint8)
    assert geometry.limit_size(wide, spec, 2).shape == (32, 128, 3)

"""Preprocessing is timed with the size of the pictures; camera frames need rotation and scaling."""

from __future__ import annotations

import io
from itertools import count

import numpy as np
import PIL.Image

from benchmarks.latency.preprocessing import CAMERA_SIZE, encode_camera_frame, time_preprocessing
from pipeline.data.decoding.decode import decode
from pipeline.data.preprocess import PreprocessSpec, encode_png

SPEC = PreprocessSpec(input_size=(16, 12))


def half_red(height: int = 16, width: int = 12) -> bytes:
    """A picture whose upper half is red and whose lower half is blue."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, :, 0] = pixels[height // 2 :, :, 2] = 255
    return encode_png(pixels)


def test_a_camera_frame_is_stored_on_its_side_and_decoded_upright() -> None:
    frame = encode_camera_frame(half_red())
    with PIL.Image.open(io.BytesIO(frame)) as stored:
        assert (stored.format, stored.size) == ("JPEG", CAMERA_SIZE[::-1])
    upright = decode(frame)
    assert upright.shape == (CAMERA_SIZE[1], CAMERA_SIZE[0], 3)
    assert upright[:400].mean(axis=(0, 1))[0] > 200
    assert upright[-400:].mean(axis=(0, 1))[2] > 200


def test_both_kinds_have_percentiles_and_sizes() -> None:
    ticks = count(step=3_000_000)  # ns: every picture takes 3 ms
    figures = time_preprocessing([half_red(), half_red(20, 14), half_red(20, 14)], SPEC, lambda: next(ticks))
    assert list(figures) == ["selfie", "camera"]
    selfie, camera = figures["selfie"], figures["camera"]
    assert (selfie.preprocess_p50_ms, selfie.preprocess_p90_ms, selfie.preprocess_runs) == (3.0, 3.0, 6)
    assert (selfie.width, selfie.height) == (14, 20)
    assert (camera.width, camera.height) == CAMERA_SIZE
    assert camera.size_bytes > selfie.size_bytes > 0

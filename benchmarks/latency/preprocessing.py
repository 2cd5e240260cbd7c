"""Times the preprocessing of a picture: decode, rotate upright, scale to the artifact's input size.

Timed separately from inference, with the code that training and measuring use (``pipeline.data.preprocess``: Pillow on
one thread). A phone has its own camera pipeline: the figure is the cost of the step on this machine, next to that of
inference. Two kinds of picture are timed: the selfies as stored, and a *camera frame* made from each of them, scaled up
to 960 x 1280 and saved as a JPEG on its side with an EXIF orientation, as phones save portraits.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from statistics import median

import PIL.Image

from benchmarks.latency.single_artifact import percentile
from pipeline.data.decoding.decode import decode
from pipeline.data.preprocess import PreprocessSpec, fit
from pipeline.data.records import Record

Clock = Callable[[], int]
CAMERA_SIZE = (960, 1280)
_ORIENTATION = 0x0112
_TURN_RIGHT = 6
_QUALITY = 90
_ROUNDS = 2


class PreprocessTiming(Record):
    """Time from an encoded picture to an artifact's input, over all pictures of one kind.

    Attributes:
        preprocess_p50_ms: Median.
        preprocess_p90_ms: 90th percentile.
        preprocess_runs: Pictures timed.
        width: Median width in pixels, upright.
        height: Median height in pixels, upright.
        size_bytes: Median size of the encoded picture.
    """

    preprocess_p50_ms: float
    preprocess_p90_ms: float
    preprocess_runs: int
    width: int
    height: int
    size_bytes: int


def time_preprocessing(
    pictures: Sequence[bytes], spec: PreprocessSpec, clock: Clock = time.perf_counter_ns
) -> dict[str, PreprocessTiming]:
    """Time both kinds of picture.

    Args:
        pictures: Encoded selfies, PNG or JPEG, at least one.
        spec: The input size, and how a frame is scaled to it.
        clock: Returns nanoseconds.

    Returns:
        Kind ("selfie" or "camera") -> timing.
    """
    kinds = {"selfie": list(pictures), "camera": [encode_camera_frame(picture) for picture in pictures]}
    return {name: _time(encoded, spec, clock) for name, encoded in kinds.items()}


def encode_camera_frame(picture: bytes) -> bytes:
    """Encode a picture as phones do: a JPEG of ``CAMERA_SIZE``, stored on its side, with EXIF orientation 6."""
    upright = PIL.Image.fromarray(decode(picture)).resize(CAMERA_SIZE, PIL.Image.Resampling.BICUBIC)
    exif = PIL.Image.Exif()
    exif[_ORIENTATION] = _TURN_RIGHT
    stored = io.BytesIO()
    upright.transpose(PIL.Image.Transpose.ROTATE_90).save(stored, "JPEG", quality=_QUALITY, exif=exif)
    return stored.getvalue()


def _time(pictures: Sequence[bytes], spec: PreprocessSpec, clock: Clock) -> PreprocessTiming:
    sizes = [decode(picture).shape for picture in pictures]  # the first decoding of each picture is not timed
    timings = []
    for picture in [*pictures] * _ROUNDS:
        started = clock()
        fit(decode(picture), spec)
        timings.append((clock() - started) / 1e6)
    return PreprocessTiming(
        preprocess_p50_ms=percentile(timings, 50),
        preprocess_p90_ms=percentile(timings, 90),
        preprocess_runs=len(timings),
        width=int(median(width for _, width, _ in sizes)),
        height=int(median(height for height, _, _ in sizes)),
        size_bytes=int(median(len(picture) for picture in pictures)),
    )

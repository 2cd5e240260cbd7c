"""Calibration: the range of every activation on a set of representative frames.

Pure and deterministic: a traced model and frames in, ranges out. Formats hand the ranges to their toolkit's quantiser
in place of its own calibration, so that all formats are calibrated alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.parity import Trace
from pipeline.data.preprocess import Pixels

Floats = NDArray[np.floating]
Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Ranges:
    """Smallest and largest value of every tensor on every calibration frame.

    Attributes:
        names: Names of the tensors, in execution order.
        low: Smallest values, (frames, tensors).
        high: Largest values, (frames, tensors).
    """

    names: tuple[str, ...]
    low: Floats
    high: Floats

    def merge(self, percentile: float) -> dict[str, Range]:
        """Give each tensor the one range that ``percentile`` per cent of the frames lie within (``merge_ranges``)."""
        low, high = merge_ranges(self.low, self.high, percentile)
        return {name: (float(low[at]), float(high[at])) for at, name in enumerate(self.names)}


def take_ranges(trace: Trace, frames: Iterable[Pixels]) -> Ranges:
    """Run frames, uint8 (height, width, 3) RGB each, and record the extremes of every tensor on each of them."""
    names: tuple[str, ...] = ()
    lows, highs = [], []
    for frame in frames:
        tensors = list(trace(frame))
        names = tuple(name for name, _ in tensors)
        lows.append([float(value.min()) for _, value in tensors])
        highs.append([float(value.max()) for _, value in tensors])
    return Ranges(names, np.array(lows), np.array(highs))


def range_of_pixels(trace: Trace, like: Pixels) -> dict[str, Range]:
    """Range of every tensor over a black and a white frame.

    Exact for the tensors before the first convolution, which are linear in the pixels; the range on calibration frames
    would clip the pixels of brighter ones.

    Args:
        trace: The float model.
        like: Any frame of the right size, uint8 (height, width, 3).
    """
    return take_ranges(trace, [np.full_like(like, level) for level in (0, 255)]).merge(100)


def merge_ranges(lows: Floats, highs: Floats, percentile: float) -> tuple[Floats, Floats]:
    """Merge the ranges of single frames.

    The plain extremes waste the few levels of 8 bits on one unusual frame; a moving average depends on the order of the
    frames and may clip most of them.

    Args:
        lows: Smallest values, (frames, tensors).
        highs: Largest values, (frames, tensors).
        percentile: In (50, 100]: percentage of the frames whose extremes lie within; 100 gives the plain extremes.

    Returns:
        Low and high, each (tensors,). They always include zero, which must be exact for padding.
    """
    low = np.percentile(lows, 100 - percentile, axis=0)
    high = np.percentile(highs, percentile, axis=0)
    return np.minimum(low, 0), np.maximum(high, 0)

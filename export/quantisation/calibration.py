"""Representative rows for static quantisation, and the range of every activation on them; pure and deterministic."""

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
    """What calibration frames gave.

    Attributes:
        names: Of the tensors, in execution order.
        low: Least value, (frames, tensors).
        high: Greatest value, (frames, tensors).
    """

    names: tuple[str, ...]
    low: Floats
    high: Floats

    def merge(self, percentile: float) -> dict[str, Range]:
        """Give each tensor one range, in which so many frames (percent) lie whole (``merge_ranges``)."""
        low, high = merge_ranges(self.low, self.high, percentile)
        return {name: (float(low[at]), float(high[at])) for at, name in enumerate(self.names)}


def take_ranges(trace: Trace, frames: Iterable[Pixels]) -> Ranges:
    """Run frames, uint8 (height, width, 3) RGB each, and keep the extremes of every tensor on each of them."""
    names: tuple[str, ...] = ()
    lows, highs = [], []
    for frame in frames:
        given = list(trace(frame))
        names = tuple(name for name, _ in given)
        lows.append([float(value.min()) for _, value in given])
        highs.append([float(value.max()) for _, value in given])
    return Ranges(names, np.array(lows), np.array(highs))


def range_of_pixels(trace: Trace, like: Pixels) -> dict[str, Range]:
    """Give the range of every tensor on a black and a white frame: exact for what comes before the first convolution.

    A range taken from calibration frames would clip the pixels of brighter ones.
    """
    return take_ranges(trace, [np.full_like(like, level) for level in (0, 255)]).merge(100)


def merge_ranges(lows: Floats, highs: Floats, percentile: float) -> tuple[Floats, Floats]:
    """Merge the ranges that single frames gave, a column a tensor.

    The plain extremes waste the few levels of 8 bits on one odd frame; a moving average depends on the frames' order
    and may clip most of them.

    Args:
        lows: Least value, (frames, tensors).
        highs: Greatest value, (frames, tensors).
        percentile: In (50, 100]; the share of frames whose extremes lie within; 100 is the plain minimum and maximum.

    Returns:
        Low and high, each (tensors,); always including zero, which padding needs to be exact.
    """
    low = np.percentile(lows, 100 - percentile, axis=0)
    high = np.percentile(highs, percentile, axis=0)
    return np.minimum(low, 0), np.maximum(high, 0)

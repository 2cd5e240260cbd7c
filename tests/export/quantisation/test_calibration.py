from __future__ import annotations

import numpy as np
import pytest

from export.quantisation.calibration import Ranges, merge_ranges, range_of_pixels, take_ranges

FRAMES = np.array([10, 200, 90], np.uint8).reshape(3, 1, 1, 1) * np.ones((1, 2, 2, 3), np.uint8)


def trace(frame: np.ndarray) -> list[tuple[str, np.ndarray]]:
    pixels = frame.astype(np.float32)
    return [("scaled", pixels / 255), ("shifted", pixels - 100)]


def test_ranges_are_the_extremes_of_every_tensor_on_every_frame() -> None:
    ranges = take_ranges(trace, FRAMES)
    assert ranges.names == ("scaled", "shifted")
    assert ranges.low[:, 1].tolist() == [-90.0, 100.0, -10.0]
    assert ranges.high[:, 1].tolist() == [-90.0, 100.0, -10.0]
    assert ranges.merge(100)["shifted"] == (-90.0, 100.0)


def test_the_range_of_pixels_spans_black_and_white_whatever_the_frame() -> None:
    ranges = range_of_pixels(trace, FRAMES[0])
    assert ranges["scaled"] == pytest.approx((0.0, 1.0))
    assert ranges["shifted"] == (-100.0, 155.0)


def test_ranges_are_merged_by_tensor() -> None:
    ranges = Ranges(("a", "b"), np.array([[-1.0, 0.0], [-3.0, 0.0]]), np.array([[1.0, 5.0], [1.0, 7.0]]))
    assert ranges.merge(100) == {"a": (-3.0, 1.0), "b": (0.0, 7.0)}


def test_one_unusual_frame_does_not_widen_a_range() -> None:
    lows, highs = np.full((100, 1), -1.0), np.full((100, 1), 2.0)
    lows[7], highs[7] = -90.0, 70.0
    low, high = merge_ranges(lows, highs, 95)
    assert (low[0], high[0]) == (-1.0, 2.0)
    low, high = merge_ranges(lows, highs, 100)
    assert (low[0], high[0]) == (-90.0, 70.0)


def test_a_range_always_includes_zero() -> None:
    low, high = merge_ranges(np.array([[2.0, -5.0]]), np.array([[3.0, -4.0]]), 100)
    assert low.tolist() == [0.0, -5.0]
    assert high.tolist() == [3.0, 0.0]

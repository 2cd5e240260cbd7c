from __future__ import annotations

import numpy as np

from export.quantisation.calibration import merge_ranges


def test_one_odd_frame_does_not_stretch_a_range() -> None:
    lows, highs = np.full((100, 1), -1.0), np.full((100, 1), 2.0)
    lows[7], highs[7] = -90.0, 70.0
    low, high = merge_ranges(lows, highs, 95)
    assert (low[0], high[0]) == (-1.0, 2.0)
    low, high = merge_ranges(lows, highs, 100)
    assert (low[0], high[0]) == (-90.0, 70.0)


def test_a_range_always_holds_zero() -> None:
    low, high = merge_ranges(np.array([[2.0, -5.0]]), np.array([[3.0, -4.0]]), 100)
    assert low.tolist() == [0.0, -5.0]
    assert high.tolist() == [3.0, 0.0]

"""Trials: accuracies of several seeds, and the paired gain of one way to train over another."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.experiment_harness.training_run import accuracy_figures, gain_figures
from pipeline.metrics.statistics import paired_difference_interval, wilson_interval


def test_the_interval_is_that_of_the_selfies_whatever_the_number_of_seeds() -> None:
    right = [np.arange(200) < 180, np.arange(200) < 190]
    found = accuracy_figures(right)
    assert found["accuracies"] == [0.9, 0.95]
    assert found["accuracy"] == pytest.approx(0.925)
    assert (found["accuracy_low"], found["accuracy_high"]) == pytest.approx(wilson_interval(185, 200))


def test_a_gain_is_in_points_and_paired() -> None:
    better, worse = np.arange(200) < 190, np.arange(200) < 180
    found = gain_figures([worse], [better], "gap")
    low, high = paired_difference_interval(worse, better)
    assert found["gap_points"] == pytest.approx(5)
    assert (found["gap_points_low"], found["gap_points_high"]) == pytest.approx((100 * low, 100 * high))
    assert found["gap_points_low"] > 0

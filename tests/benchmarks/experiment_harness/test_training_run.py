"""Accuracy over several trainings, and the paired gain of one training set over another."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.experiment_harness.training_run import accuracies, mean_accuracy, mean_gain
from pipeline.metrics.statistics import paired_difference_interval, wilson_interval


def test_the_interval_is_that_of_the_selfies_whatever_the_number_of_trainings() -> None:
    correct = [np.arange(200) < 180, np.arange(200) < 190]
    assert accuracies(correct) == (0.9, 0.95)
    mean = mean_accuracy(correct)
    assert mean.value == pytest.approx(0.925)
    assert (mean.low, mean.high) == pytest.approx(wilson_interval(185, 200))


def test_a_gain_is_in_points_and_paired() -> None:
    better, worse = np.arange(200) < 190, np.arange(200) < 180
    gain = mean_gain([worse], [better])
    low, high = paired_difference_interval(worse, better)
    assert gain.value == pytest.approx(5)
    assert (gain.low, gain.high) == pytest.approx((100 * low, 100 * high))
    assert gain.low > 0

"""Intervals, tests and sample sizes equal published values, or hold in simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.metrics import statistics


@pytest.mark.parametrize(
    ("successes", "total", "low", "high"), [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)]
)
def test_wilson_intervals_equal_published_values(successes: int, total: int, low: float, high: float) -> None:
    # the first two: Newcombe, Stat Med 17:857, 1998, table I, method 3
    assert statistics.wilson_interval(successes, total) == pytest.approx((low, high), abs=5e-5)


def test_the_interval_of_no_trials_is_nan() -> None:
    assert all(map(math.isnan, statistics.wilson_interval(0, 0)))


def test_a_higher_confidence_widens_the_interval() -> None:
    low, high = statistics.wilson_interval(90, 100, 0.90)
    wide_low, wide_high = statistics.wilson_interval(90, 100, 0.99)
    assert wide_low < low < 0.9 < high < wide_high


@pytest.mark.parametrize(("share", "limit"), [(0.95, 0.90), (0.86, 0.90), (0.92, 0.90)])
def test_a_sample_of_the_computed_size_separates_a_proportion_from_a_limit(share: float, limit: float) -> None:
    size = statistics.proportion_sample_size(share, limit, 0.025, 0.9)
    assert size is not None
    draws = np.random.default_rng(3).binomial(size, share, 2000)
    intervals = [statistics.wilson_interval(int(successes), size) for successes in draws]
    power = np.mean([low >= limit if share > limit else high < limit for low, high in intervals])
    assert power == pytest.approx(0.9, abs=0.025)


def test_no_sample_size_separates_a_value_from_an_equal_limit() -> None:
    assert statistics.proportion_sample_size(0.9, 0.9, 0.025, 0.9) is None
    assert statistics.paired_sample_size(-0.01, -0.01, 0.02, 0.05, 0.9) is None


def rows(both: int, first: int, second: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Build the two boolean columns of a paired 2 x 2 table."""
    one, other = [1, 1, 0, 0], [1, 0, 1, 0]
    counts = (both, first, second, neither)
    return np.repeat(np.array(one, bool), counts), np.repeat(np.array(other, bool), counts)


@pytest.mark.parametrize(
    ("counts", "ratio", "interval"),
    [
        # Fagerland, Lydersen & Laake (2014), tables of Bentur et al. (2009) and Cavo et al. (2012), hybrid Wilson
        ((1, 1, 7, 12), 2 / 8, (0.068, 0.923)),
        ((59, 6, 16, 80), 65 / 75, (0.758, 0.991)),
    ],
)
def test_paired_ratio_intervals_equal_published_values(
    counts: tuple[int, int, int, int], ratio: float, interval: tuple[float, float]
) -> None:
    one, other = rows(*counts)
    low, high = statistics.paired_ratio_interval(other, one)
    assert (low, high) == pytest.approx(interval, abs=5e-4)
    assert low < ratio < high


def test_the_ratio_interval_is_unbounded_if_the_first_proportion_may_be_zero() -> None:
    nothing, one = rows(0, 0, 1, 20)
    assert statistics.paired_ratio_interval(nothing, nothing) == (0.0, math.inf)
    low, high = statistics.paired_ratio_interval(nothing, one)
    assert 0 < low < 1
    assert high == math.inf


def test_holm_adjusted_p_values_equal_hand_computed_ones() -> None:
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.6, 0.7]) == [1.0, 1.0]
    assert statistics.holm([]) == []


@pytest.mark.parametrize(
    ("difference", "limit", "discordance", "size"),
    [(-0.01, 0.0, 0.02, 1710), (-0.005, 0.0, 0.02, 6848)],  # exact McNemar: about 1,760 and more than 7,000
)
def test_the_paired_sample_size_is_close_to_that_of_the_exact_test(
    difference: float, limit: float, discordance: float, size: int
) -> None:
    assert statistics.paired_sample_size(difference, limit, discordance, 0.05, 0.9) == size


def test_a_sample_grown_by_the_computed_factor_separates_a_ratio_from_its_limit() -> None:
    one, other = rows(60, 20, 20, 900)
    factor = statistics.paired_ratio_sample_factor(one, other, 1.1, 0.05, 0.9)
    assert factor is not None
    cells = np.random.default_rng(5).multinomial(round(1000 * factor), [0.06, 0.02, 0.02, 0.9], 400)
    highs = [statistics.paired_ratio_interval(*rows(*map(int, counts)), 0.9)[1] for counts in cells]
    assert np.mean(np.array(highs) <= 1.1) == pytest.approx(0.9, abs=0.05)
    assert statistics.paired_ratio_sample_factor(*rows(10, 0, 1, 5), 1.1, 0.05, 0.9) is None


def test_mcnemar_mid_p_equals_a_published_value() -> None:
    # Fagerland et al. 2013, table 1 (AHR before and after stem cell transplantation): b = 1, c = 7
    assert statistics.mcnemar_mid_p(1, 7) == pytest.approx(0.0391, abs=5e-5)
    assert statistics.mcnemar_mid_p(7, 1) == statistics.mcnemar_mid_p(1, 7)


def test_mcnemar_mid_p_is_one_without_discordant_rows() -> None:
    assert statistics.mcnemar_mid_p(0, 0) == 1.0


def test_the_paired_difference_interval_contains_the_difference_and_narrows_with_more_rows() -> None:
    first = np.array([True] * 96 + [False] * 4)
    second = np.array([True] * 92 + [False] * 8)
    low, high = statistics.paired_difference_interval(first, second)
    assert low < -0.04 < high
    narrow_low, narrow_high = statistics.paired_difference_interval(np.tile(first, 20), np.tile(second, 20))
    assert low < narrow_low < -0.04 < narrow_high < high


def test_identical_decisions_still_have_an_interval_of_positive_width() -> None:
    rows = np.ones(20, bool)
    low, high = statistics.paired_difference_interval(rows, rows)
    assert low == pytest.approx(-high)
    assert low < -0.01


def test_the_paired_difference_interval_covers_the_true_difference_at_about_its_level() -> None:
    random = np.random.default_rng(7)
    covered = 0
    for _ in range(400):
        first = random.random(300) < 0.9
        second = np.where(random.random(300) < 0.05, ~first, first)
        low, high = statistics.paired_difference_interval(first, second, 0.90)
        covered += low <= 0.05 * (0.1 - 0.9) <= high
    assert 0.85 <= covered / 400 <= 0.95

"""Figures of a classifier against values worked out by hand or by another library."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.metrics

from pipeline.metrics import classification, statistics

TARGETS = np.array([0, 0, 1, 1, 1, 0, 1, 0])
SCORES = np.array([0.1, 0.6, 0.8, 0.4, 0.9, 0.2, 0.6, 0.3])
PROBABILITIES = np.stack([1 - SCORES, SCORES], axis=1)


def test_two_labels_are_decided_by_the_threshold() -> None:
    assert classification.decide(PROBABILITIES, 0.6).tolist() == [0, 1, 1, 0, 1, 0, 1, 0]
    assert classification.decide(PROBABILITIES, 0.85).sum() == 1


def test_more_labels_are_decided_by_the_largest_probability() -> None:
    assert classification.decide(np.array([[0.2, 0.5, 0.3], [0.4, 0.3, 0.3]]), 0.99).tolist() == [1, 0]


def test_rates_count_each_kind_of_mistake_among_its_own_rows() -> None:
    decisions = classification.decide(PROBABILITIES)
    assert classification.accuracy(decisions, TARGETS) == 6 / 8
    assert classification.false_negative_rate(decisions, TARGETS, 1) == 1 / 4
    assert classification.false_positive_rate(decisions, TARGETS, 1) == 1 / 4


def test_a_rate_of_no_rows_is_not_a_number() -> None:
    nothing = np.array([], np.int64)
    assert math.isnan(classification.accuracy(nothing, nothing))
    assert math.isnan(classification.false_negative_rate(np.array([0]), np.array([0]), 1))
    assert math.isnan(classification.false_positive_rate(np.array([1]), np.array([1]), 1))
    assert math.isnan(classification.expected_calibration_error(np.empty((0, 2)), nothing))


@pytest.mark.parametrize(
    ("successes", "total", "low", "high"), [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)]
)
def test_wilson_intervals_equal_the_published_ones(successes: int, total: int, low: float, high: float) -> None:
    # the first two: Newcombe, Stat Med 17:857, 1998, table I, method 3
    assert statistics.wilson_interval(successes, total) == pytest.approx((low, high), abs=5e-5)


def test_an_interval_of_no_trials_is_not_a_number() -> None:
    assert all(map(math.isnan, statistics.wilson_interval(0, 0)))


def test_a_higher_confidence_widens_the_interval() -> None:
    low, high = statistics.wilson_interval(90, 100, 0.90)
    wide_low, wide_high = statistics.wilson_interval(90, 100, 0.99)
    assert wide_low < low < 0.9 < high < wide_high


@pytest.mark.parametrize(("share", "limit"), [(0.95, 0.90), (0.86, 0.90), (0.92, 0.90)])
def test_a_sample_of_the_size_asked_for_tells_a_share_from_a_limit(share: float, limit: float) -> None:
    size = statistics.share_sample_size(share, limit, 0.025, 0.9)
    assert size is not None
    draws = np.random.default_rng(3).binomial(size, share, 2000)
    intervals = [statistics.wilson_interval(int(each), size) for each in draws]
    told = np.mean([low >= limit if share > limit else high < limit for low, high in intervals])
    assert told == pytest.approx(0.9, abs=0.025)


def test_a_share_on_its_limit_is_never_told_from_it() -> None:
    assert statistics.share_sample_size(0.9, 0.9, 0.025, 0.9) is None
    assert statistics.paired_sample_size(-0.01, -0.01, 0.02, 0.05, 0.9) is None


def rows(both: int, first: int, second: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """A paired 2 x 2 table as two columns."""
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
def test_the_paired_ratio_interval_is_the_published_one(
    counts: tuple[int, int, int, int], ratio: float, interval: tuple[float, float]
) -> None:
    one, other = rows(*counts)
    found = statistics.paired_ratio_interval(other, one)
    assert found == pytest.approx(interval, abs=5e-4)
    assert found[0] < ratio < found[1]


def test_the_ratio_of_nothing_to_nothing_may_be_anything() -> None:
    nothing, one = rows(0, 0, 1, 20)
    assert statistics.paired_ratio_interval(nothing, nothing) == (0.0, math.inf)
    low, high = statistics.paired_ratio_interval(nothing, one)
    assert 0 < low < 1
    assert high == math.inf


def test_holms_adjustment_is_worked_out_by_hand() -> None:
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.6, 0.7]) == [1.0, 1.0]
    assert statistics.holm([]) == []


@pytest.mark.parametrize(
    ("difference", "limit", "discordance", "size"),
    [(-0.01, 0.0, 0.02, 1710), (-0.005, 0.0, 0.02, 6848)],  # exact McNemar: some 1,760 and more than 7,000
)
def test_the_number_of_pairs_is_close_to_the_exact_test_s(
    difference: float, limit: float, discordance: float, size: int
) -> None:
    assert statistics.paired_sample_size(difference, limit, discordance, 0.05, 0.9) == size


def test_as_many_rows_as_asked_for_tell_a_ratio_from_its_limit() -> None:
    one, other = rows(60, 20, 20, 900)
    factor = statistics.paired_ratio_growth(one, other, 1.1, 0.05, 0.9)
    assert factor is not None
    cells = np.random.default_rng(5).multinomial(round(1000 * factor), [0.06, 0.02, 0.02, 0.9], 400)
    highs = [statistics.paired_ratio_interval(*rows(*map(int, each)), 0.9)[1] for each in cells]
    assert np.mean(np.array(highs) <= 1.1) == pytest.approx(0.9, abs=0.05)
    assert statistics.paired_ratio_growth(*rows(10, 0, 1, 5), 1.1, 0.05, 0.9) is None


def test_the_area_under_the_curve_halves_ties() -> None:
    assert classification.roc_auc(SCORES, TARGETS == 1) == pytest.approx(sklearn.metrics.roc_auc_score(TARGETS, SCORES))
    assert classification.roc_auc(np.full(4, 0.5), np.array([True, False, True, False])) == 0.5
    assert math.isnan(classification.roc_auc(SCORES, np.ones(8, bool)))


def test_the_roc_curve_equals_the_usual_one() -> None:
    found = classification.roc_curve(SCORES, TARGETS == 1)
    expected = sklearn.metrics.roc_curve(TARGETS, SCORES, drop_intermediate=False)
    for own, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(own, other)


def test_the_roc_curve_of_one_class_is_empty() -> None:
    assert [len(part) for part in classification.roc_curve(SCORES, np.zeros(8, bool))] == [0, 0, 0]


def test_calibration_error_is_the_weighted_gap_of_the_bins() -> None:
    probabilities = np.array([[0.1, 0.9], [0.1, 0.9], [0.4, 0.6], [0.4, 0.6]])
    targets = np.array([1, 0, 1, 1])
    assert classification.calibration_bins(probabilities, targets, 10) == [
        (2, pytest.approx(0.6), 1.0),
        (2, pytest.approx(0.9), 0.5),
    ]
    assert classification.expected_calibration_error(probabilities, targets, 10) == pytest.approx((0.4 + 0.4) / 2)


def test_sure_and_right_is_perfectly_calibrated() -> None:
    assert classification.expected_calibration_error(np.eye(2)[TARGETS], TARGETS) == 0.0


def test_sureness_is_the_distance_from_the_threshold_in_log_odds() -> None:
    probabilities = np.array([[0.5, 0.5], [0.2, 0.8], [0.8, 0.2], [0.0, 1.0]])
    assert classification.sureness(probabilities)[:3] == pytest.approx([0, math.log(4), math.log(4)])
    assert classification.sureness(probabilities, 0.8)[:2] == pytest.approx([math.log(4), 0])
    assert np.isfinite(classification.sureness(probabilities, 1.0)).all()


def test_sureness_of_more_labels_is_the_lead_of_the_first() -> None:
    probabilities = np.array([[0.6, 0.3, 0.1], [1 / 3, 1 / 3, 1 / 3]])
    assert classification.sureness(probabilities) == pytest.approx([math.log(2), 0])


def test_the_coverage_curve_answers_the_surest_first_and_equals_together() -> None:
    sure, right = np.array([3.0, 1.0, 2.0, 2.0, 0.5]), np.array([True, False, True, False, True])
    coverage, accuracy = classification.coverage_curve(sure, right)
    assert coverage == pytest.approx([1 / 5, 3 / 5, 4 / 5, 1])
    assert accuracy == pytest.approx([1, 2 / 3, 1 / 2, 3 / 5])


def test_the_coverage_curve_of_nothing_is_empty() -> None:
    assert [len(part) for part in classification.coverage_curve(np.zeros(0), np.zeros(0, bool))] == [0, 0]


def test_confusion_counts_true_by_decided() -> None:
    assert classification.confusion(classification.decide(PROBABILITIES), TARGETS, 2).tolist() == [[3, 1], [1, 3]]


def test_mid_p_equals_the_published_example() -> None:
    # Fagerland et al. 2013, table 1 (AHR before and after stem cell transplantation): b = 1, c = 7
    assert statistics.mcnemar_mid_p(1, 7) == pytest.approx(0.0391, abs=5e-5)
    assert statistics.mcnemar_mid_p(7, 1) == statistics.mcnemar_mid_p(1, 7)


def test_no_discordant_pair_is_no_evidence() -> None:
    assert statistics.mcnemar_mid_p(0, 0) == 1.0


def test_the_paired_interval_narrows_with_rows_and_holds_the_difference() -> None:
    first = np.array([True] * 96 + [False] * 4)
    second = np.array([True] * 92 + [False] * 8)
    low, high = statistics.paired_difference_interval(first, second)
    assert low < -0.04 < high
    narrow_low, narrow_high = statistics.paired_difference_interval(np.tile(first, 20), np.tile(second, 20))
    assert low < narrow_low < -0.04 < narrow_high < high


def test_identical_decisions_still_leave_room_for_doubt() -> None:
    rows = np.ones(20, bool)
    low, high = statistics.paired_difference_interval(rows, rows)
    assert low == pytest.approx(-high)
    assert low < -0.01


def test_the_paired_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(7)
    covered = 0
    for _ in range(400):
        first = random.random(300) < 0.9
        second = np.where(random.random(300) < 0.05, ~first, first)
        low, high = statistics.paired_difference_interval(first, second, 0.90)
        covered += low <= 0.05 * (0.1 - 0.9) <= high
    assert 0.85 <= covered / 400 <= 0.95


def test_mutual_information_is_one_for_copies_and_none_for_strangers() -> None:
    rows = np.array([0, 1, 2, 0, 1, 2])
    assert classification.normalised_mutual_information(rows, 2 - rows) == pytest.approx(1.0)
    assert classification.normalised_mutual_information(np.repeat([0, 1], 4), np.tile([0, 1], 4)) == pytest.approx(0.0)
    assert classification.normalised_mutual_information(rows, np.zeros(6, int)) == 0.0
    assert classification.normalised_mutual_information(np.array([], int), np.array([], int)) == 0.0

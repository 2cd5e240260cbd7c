"""Classification metrics equal values computed by hand or by scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.metrics

from pipeline.metrics import classification

TARGETS = np.array([0, 0, 1, 1, 1, 0, 1, 0])
SCORES = np.array([0.1, 0.6, 0.8, 0.4, 0.9, 0.2, 0.6, 0.3])
PROBABILITIES = np.stack([1 - SCORES, SCORES], axis=1)


def test_two_labels_are_decided_by_the_threshold() -> None:
    assert classification.decide(PROBABILITIES, 0.6).tolist() == [0, 1, 1, 0, 1, 0, 1, 0]
    assert classification.decide(PROBABILITIES, 0.85).sum() == 1


def test_more_labels_are_decided_by_the_largest_probability() -> None:
    assert classification.decide(np.array([[0.2, 0.5, 0.3], [0.4, 0.3, 0.3]]), 0.99).tolist() == [1, 0]


def test_each_error_rate_is_a_share_of_the_rows_of_its_own_class() -> None:
    decisions = classification.decide(PROBABILITIES)
    assert classification.accuracy(decisions, TARGETS) == 6 / 8
    assert classification.false_negative_rate(decisions, TARGETS, 1) == 1 / 4
    assert classification.false_positive_rate(decisions, TARGETS, 1) == 1 / 4


def test_a_metric_without_rows_is_nan() -> None:
    empty = np.array([], np.int64)
    assert math.isnan(classification.accuracy(empty, empty))
    assert math.isnan(classification.false_negative_rate(np.array([0]), np.array([0]), 1))
    assert math.isnan(classification.false_positive_rate(np.array([1]), np.array([1]), 1))
    assert math.isnan(classification.expected_calibration_error(np.empty((0, 2)), empty))


def test_ties_count_one_half_in_the_area_under_the_roc_curve() -> None:
    assert classification.roc_auc(SCORES, TARGETS == 1) == pytest.approx(sklearn.metrics.roc_auc_score(TARGETS, SCORES))
    assert classification.roc_auc(np.full(4, 0.5), np.array([True, False, True, False])) == 0.5
    assert math.isnan(classification.roc_auc(SCORES, np.ones(8, bool)))


def test_the_roc_curve_equals_that_of_scikit_learn() -> None:
    curve = classification.roc_curve(SCORES, TARGETS == 1)
    expected = sklearn.metrics.roc_curve(TARGETS, SCORES, drop_intermediate=False)
    for own, other in zip(curve, expected, strict=True):
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


def test_certain_and_right_predictions_have_no_calibration_error() -> None:
    assert classification.expected_calibration_error(np.eye(2)[TARGETS], TARGETS) == 0.0


def test_the_decision_margin_of_two_labels_is_the_distance_from_the_threshold_in_log_odds() -> None:
    probabilities = np.array([[0.5, 0.5], [0.2, 0.8], [0.8, 0.2], [0.0, 1.0]])
    assert classification.decision_margin(probabilities)[:3] == pytest.approx([0, math.log(4), math.log(4)])
    assert classification.decision_margin(probabilities, 0.8)[:2] == pytest.approx([math.log(4), 0])
    assert np.isfinite(classification.decision_margin(probabilities, 1.0)).all()


def test_the_decision_margin_of_three_labels_is_the_log_ratio_of_the_two_largest() -> None:
    probabilities = np.array([[0.6, 0.3, 0.1], [1 / 3, 1 / 3, 1 / 3]])
    assert classification.decision_margin(probabilities) == pytest.approx([math.log(2), 0])


def test_the_coverage_curve_starts_with_the_most_confident_rows_and_keeps_ties_together() -> None:
    confidence, is_right = np.array([3.0, 1.0, 2.0, 2.0, 0.5]), np.array([True, False, True, False, True])
    coverage, accuracy = classification.coverage_curve(confidence, is_right)
    assert coverage == pytest.approx([1 / 5, 3 / 5, 4 / 5, 1])
    assert accuracy == pytest.approx([1, 2 / 3, 1 / 2, 3 / 5])


def test_the_coverage_curve_of_no_rows_is_empty() -> None:
    assert [len(part) for part in classification.coverage_curve(np.zeros(0), np.zeros(0, bool))] == [0, 0]


def test_the_confusion_matrix_counts_rows_by_target_and_decision() -> None:
    assert classification.confusion_matrix(classification.decide(PROBABILITIES), TARGETS, 2).tolist() == [
        [3, 1],
        [1, 3],
    ]


def test_mutual_information_is_one_for_equal_variables_and_zero_for_independent_ones() -> None:
    rows = np.array([0, 1, 2, 0, 1, 2])
    assert classification.normalised_mutual_information(rows, 2 - rows) == pytest.approx(1.0)
    assert classification.normalised_mutual_information(np.repeat([0, 1], 4), np.tile([0, 1], 4)) == pytest.approx(0.0)
    assert classification.normalised_mutual_information(rows, np.zeros(6, int)) == 0.0
    assert classification.normalised_mutual_information(np.array([], int), np.array([], int)) == 0.0

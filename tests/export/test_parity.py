from __future__ import annotations

import numpy as np
import pytest

from export.parity import ReferencePredictions, compare, one_by_one, run_artifact
from pipeline.errors import DataError

REFERENCE = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.55, 0.45]], np.float32)


def test_equal_predictions_agree_entirely() -> None:
    parity = compare(REFERENCE, REFERENCE.copy())
    assert (parity.images, parity.agreement, parity.max_abs_probability_diff) == (4, 1.0, 0.0)


def test_agreement_and_the_largest_difference_are_reported() -> None:
    other = REFERENCE.copy()
    other[1] = [0.7, 0.3]
    parity = compare(REFERENCE, other)
    assert parity.agreement == 0.75
    assert parity.max_abs_probability_diff == pytest.approx(0.3, abs=1e-6)


def test_decisions_are_made_at_the_given_threshold() -> None:
    other = REFERENCE + np.array([-0.1, 0.1], np.float32)
    assert compare(REFERENCE, other, threshold=0.5).agreement == 0.75
    assert compare(REFERENCE, other, threshold=0.95).agreement == 1.0


def test_nan_never_agrees() -> None:
    other = REFERENCE.copy()
    other[0] = np.nan
    parity = compare(REFERENCE, other)
    assert parity.agreement == 0.75
    assert parity.max_abs_probability_diff == 1.0


def test_probabilities_of_another_shape_are_refused() -> None:
    with pytest.raises(DataError, match=r"probabilities \(3, 2\); expected \(4, 2\)"):
        compare(REFERENCE, REFERENCE[:3])


def test_only_the_first_frames_are_compared_if_a_count_is_given() -> None:
    frames = np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1)
    reference = ReferencePredictions(frames, REFERENCE, 0.5, np.zeros(4, np.int64))
    parity = reference.parity_of(one_by_one(lambda frame: REFERENCE[int(frame.item())]), 3)
    assert (parity.images, parity.agreement, parity.log_odds_error) == (3, 1.0, 0.0)


def test_log_odds_error_is_the_root_mean_square_and_ignores_the_outermost_probabilities() -> None:
    first, second = np.array([[0.5, 0.5]], np.float32), np.array([[0.25, 0.75]], np.float32)
    assert compare(first, second).log_odds_error == pytest.approx(np.log(3), rel=1e-6)
    sure, surer = np.array([[1e-5, 1 - 1e-5]], np.float32), np.array([[0.0, 1.0]], np.float32)
    assert compare(sure, surer).log_odds_error == 0.0


def test_frames_are_predicted_one_by_one_in_order() -> None:
    frames = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1)
    rows = run_artifact(lambda frame: np.array([frame.sum()], np.float32), frames)
    assert rows.tolist() == [[0.0], [1.0], [2.0]]
    with pytest.raises(DataError, match="no frame to compare on"):
        run_artifact(lambda frame: np.array([frame.sum()], np.float32), frames[:0])

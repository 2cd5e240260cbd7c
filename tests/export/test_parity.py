from __future__ import annotations

import numpy as np
import pytest

from export.parity import compare, run_artifact
from pipeline.errors import DataError

REFERENCE = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.55, 0.45]], np.float32)


def test_an_artifact_equal_to_its_reference_agrees_wholly() -> None:
    parity = compare(REFERENCE, REFERENCE.copy())
    assert (parity.images, parity.agreement, parity.max_abs_probability_diff) == (4, 1.0, 0.0)


def test_a_changed_decision_and_the_largest_difference_are_counted() -> None:
    other = REFERENCE.copy()
    other[1] = [0.7, 0.3]
    parity = compare(REFERENCE, other)
    assert parity.agreement == 0.75
    assert parity.max_abs_probability_diff == pytest.approx(0.3, abs=1e-6)


def test_decisions_are_taken_at_the_checkpoint_s_threshold() -> None:
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


def test_an_artifact_is_asked_about_each_frame_in_order() -> None:
    frames = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1)
    rows = run_artifact(lambda frame: np.array([frame.sum()], np.float32), frames)
    assert rows.tolist() == [[0.0], [1.0], [2.0]]
    with pytest.raises(DataError, match="no frame to compare on"):
        run_artifact(lambda frame: np.array([frame.sum()], np.float32), frames[:0])

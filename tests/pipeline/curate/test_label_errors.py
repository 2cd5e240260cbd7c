"""Label errors: wrong labels are found, groups never leak, and uninformative predictors are excluded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.curate import label_errors
from pipeline.curate.label_errors import (
    LabelledSet,
    ProbeConfig,
    evaluate_predictor,
    out_of_fold_probabilities,
    pool_probabilities,
    score_labels,
)

CONFIG = ProbeConfig(folds=3, repeats=2, seed=5)
LABELS = ("red", "blue")
NOT_MORE = "not significantly more than the"


def labelled(count: int, distance: float = 2.0) -> LabelledSet:
    """Draw features of two classes ``distance`` from the origin; the verifier errs on one image in twenty."""
    rng = np.random.default_rng(0)
    targets = np.arange(count, dtype=np.int64) % 2
    features = rng.normal(size=(count, 16)).astype(np.float32)
    features[:, 0] += np.float32(distance) * (2 * targets - 1)
    sure = np.where(rng.random(count) < 0.95, rng.uniform(0.6, 0.98, count), rng.uniform(0.2, 0.45, count))
    probabilities = np.stack([np.where(targets == label, sure, 1 - sure) for label in (0, 1)], axis=1)
    groups = [f"scene-{row // 4}" for row in range(count)]
    return LabelledSet(lambda rows: features[rows], targets, groups, LABELS, probabilities)


def quiet() -> None:
    """Ignore progress."""


def flip_labels(images: LabelledSet, rows: NDArray[np.int64]) -> LabelledSet:
    targets = images.targets.copy()
    targets[rows] = 1 - targets[rows]
    return replace(images, targets=targets)


def test_wrong_labels_score_low_and_right_labels_high() -> None:
    wrong = np.random.default_rng(1).choice(400, 60, replace=False)
    quality = score_labels(flip_labels(labelled(400), wrong), CONFIG, quiet)
    right = np.setdiff1d(np.arange(400), wrong)
    assert (quality.scores[wrong] < 0.4).mean() > 0.9
    assert (quality.scores[right] < 0.4).mean() < 0.02
    assert 45 <= quality.expected_errors <= 75
    assert [predictor.exclusion for predictor in quality.predictors] == ["", ""]


def test_the_pooled_predictors_make_fewer_errors_than_each_alone() -> None:
    wrong = np.random.default_rng(1).choice(400, 60, replace=False)
    rows = flip_labels(labelled(400, distance=1.2), wrong)
    quality = score_labels(rows, CONFIG, quiet)

    def errors(probabilities: NDArray[np.float64]) -> int:
        flagged = probabilities[np.arange(400), rows.targets] < 0.5
        return int((flagged != np.isin(np.arange(400), wrong)).sum())

    alone = [errors(predictor.probabilities) for predictor in quality.predictors]
    assert errors(quality.probabilities) < min(alone)


def test_an_uninformative_predictor_is_excluded() -> None:
    rows = replace(labelled(400), verifier_probabilities=np.full((400, 2), 0.5))
    quality = score_labels(rows, CONFIG, quiet)
    probes, verifier = quality.predictors
    assert (probes.exclusion, verifier.exclusion) == (
        "",
        f"it agrees with 200 of 400 labels, {NOT_MORE} 200 of the most frequent label",
    )
    np.testing.assert_allclose(quality.probabilities, pool_probabilities([probes.probabilities]))


def test_no_label_is_rejected_if_both_predictors_are_excluded() -> None:
    rows = replace(labelled(200, distance=0.0), verifier_probabilities=np.full((200, 2), 0.5))
    quality = score_labels(rows, CONFIG, quiet)
    assert all(predictor.exclusion for predictor in quality.predictors)
    assert quality.scores.min() == 1
    assert quality.expected_errors == 0


def test_probes_are_excluded_if_a_label_has_fewer_groups_than_folds() -> None:
    rows = labelled(48)
    few = np.flatnonzero(rows.targets == 1)[3:]
    targets = rows.targets.copy()
    targets[few] = 0
    quality = score_labels(replace(rows, targets=targets), CONFIG, quiet)
    assert "only 3 images of blue in 2 groups" in quality.predictors[0].exclusion
    assert "lower curate.folds" in quality.predictors[0].exclusion


def test_pooled_probabilities_are_clipped_geometric_means() -> None:
    one, other = np.asarray([[0.9, 0.1], [1.0, 0.0]]), np.asarray([[0.5, 0.5], [0.5, 0.5]])
    pooled = pool_probabilities([one, other])
    np.testing.assert_allclose(pooled[0], [0.75, 0.25])
    assert 0.95 < pooled[1, 0] < 0.98
    np.testing.assert_allclose(pool_probabilities([one, other, other]).sum(axis=1), 1)


def test_agreement_must_be_significantly_above_the_most_frequent_label() -> None:
    targets = np.asarray([0] * 90 + [1] * 10)
    always = np.tile([0.9, 0.1], (100, 1))
    expected = f"it agrees with 90 of 100 labels, {NOT_MORE} 90 of the most frequent label"
    assert evaluate_predictor("verifier", always, targets).exclusion == expected
    truth = np.eye(2)[targets] * 0.8 + 0.1
    assert evaluate_predictor("verifier", truth, targets).exclusion == ""


def test_a_predictor_that_agrees_with_all_of_few_labels_is_not_called_wrong() -> None:
    targets = np.asarray([0, 1])
    exclusion = evaluate_predictor("verifier", np.eye(2)[targets], targets).exclusion
    assert exclusion == f"it agrees with 2 of 2 labels, {NOT_MORE} 1 of the most frequent label"


def test_a_predictor_is_weak_below_halfway_between_chance_and_all() -> None:
    targets = np.asarray([0, 1] * 200)

    def predictor(correct: int) -> bool:
        predicted = np.where(np.arange(400) < correct, targets, 1 - targets)
        return evaluate_predictor("verifier", np.eye(2)[predicted], targets).is_weak

    assert [predictor(correct) for correct in (240, 299, 300, 400)] == [True, True, False, False]


def test_the_same_configuration_gives_the_same_probabilities() -> None:
    rows = labelled(60)
    first = out_of_fold_probabilities(rows, CONFIG, quiet)
    np.testing.assert_array_equal(first, out_of_fold_probabilities(rows, CONFIG, quiet))
    assert not np.array_equal(first, out_of_fold_probabilities(rows, replace(CONFIG, seed=6), quiet))
    np.testing.assert_allclose(first.sum(axis=1), 1)


def test_progress_advances_once_per_probe() -> None:
    calls: list[int] = []
    out_of_fold_probabilities(labelled(24), CONFIG, lambda: calls.append(1))
    assert len(calls) == 6


def test_folds_keep_groups_whole_and_hold_out_each_image_once_per_repeat() -> None:
    rows = labelled(48)
    all_held_out: list[int] = []
    for _, training, held_out in label_errors._folds(rows, CONFIG):
        assert {rows.groups[row] for row in training}.isdisjoint(rows.groups[row] for row in held_out)
        all_held_out += held_out.tolist()
    assert sorted(all_held_out) == sorted([*range(48), *range(48)])


def test_a_probe_trains_on_a_subsample_of_a_large_set(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = labelled(120)
    sizes: list[int] = []

    def features(chosen: NDArray[np.int64]) -> Any:
        sizes.append(len(chosen))
        return rows.features(chosen)

    monkeypatch.setattr(label_errors, "MAX_PROBE_IMAGES", 30)
    monkeypatch.setattr(label_errors, "ROWS_PER_READ", 25)
    probabilities = out_of_fold_probabilities(replace(rows, features=features), CONFIG, quiet)
    assert max(sizes) == 30
    assert (probabilities.argmax(axis=1) == rows.targets).mean() > 0.9

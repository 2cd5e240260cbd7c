"""Opinions: wrong labels are found, groups never leak, and an opinion that knows nothing is not heard."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.curate import label_errors
from pipeline.curate.label_errors import Labelled, Recipe, judge_labels, out_of_fold_probabilities, pool, weigh

RECIPE = Recipe(folds=3, repeats=2, seed=5)
LABELS = ("red", "blue")


def labelled(count: int, told: float = 2.0) -> Labelled:
    """Features of two clouds, ``told`` is how far apart they lie; the verifier errs of one in twenty."""
    rng = np.random.default_rng(0)
    targets = np.arange(count, dtype=np.int64) % 2
    features = rng.normal(size=(count, 16)).astype(np.float32)
    features[:, 0] += np.float32(told) * (2 * targets - 1)
    sure = np.where(rng.random(count) < 0.95, rng.uniform(0.6, 0.98, count), rng.uniform(0.2, 0.45, count))
    probabilities = np.stack([np.where(targets == label, sure, 1 - sure) for label in (0, 1)], axis=1)
    groups = [f"scene-{row // 4}" for row in range(count)]
    return Labelled(lambda rows: features[rows], targets, groups, LABELS, probabilities)


def quiet() -> None:
    """Take no notice of progress."""


def flipped(rows: Labelled, wrong: NDArray[np.int64]) -> Labelled:
    targets = rows.targets.copy()
    targets[wrong] = 1 - targets[wrong]
    return replace(rows, targets=targets)


def test_wrong_labels_score_low_and_right_ones_high() -> None:
    wrong = np.random.default_rng(1).choice(400, 60, replace=False)
    judgement = judge_labels(flipped(labelled(400), wrong), RECIPE, quiet)
    right = np.setdiff1d(np.arange(400), wrong)
    assert (judgement.scores[wrong] < 0.4).mean() > 0.9
    assert (judgement.scores[right] < 0.4).mean() < 0.02
    assert 45 <= judgement.expected_errors <= 75
    assert [opinion.unheard for opinion in judgement.opinions] == ["", ""]


def test_two_opinions_are_better_than_either() -> None:
    wrong = np.random.default_rng(1).choice(400, 60, replace=False)
    rows = flipped(labelled(400, told=1.2), wrong)
    judgement = judge_labels(rows, RECIPE, quiet)

    def mistakes(probabilities: NDArray[np.float64]) -> int:
        accused = probabilities[np.arange(400), rows.targets] < 0.5
        return int((accused != np.isin(np.arange(400), wrong)).sum())

    alone = [mistakes(opinion.probabilities) for opinion in judgement.opinions]
    assert mistakes(judgement.probabilities) < min(alone)


def test_an_opinion_that_knows_nothing_is_not_heard() -> None:
    rows = replace(labelled(400), verified=np.full((400, 2), 0.5))
    judgement = judge_labels(rows, RECIPE, quiet)
    probes, verifier = judgement.opinions
    assert (probes.unheard, verifier.unheard) == ("", "it agrees with only 50% of the labels")
    np.testing.assert_allclose(judgement.probabilities, pool([probes.probabilities]))


def test_where_nobody_knows_anything_nothing_is_doubted() -> None:
    rows = replace(labelled(200, told=0.0), verified=np.full((200, 2), 0.5))
    judgement = judge_labels(rows, RECIPE, quiet)
    assert all(opinion.unheard for opinion in judgement.opinions)
    assert judgement.scores.min() == 1
    assert judgement.expected_errors == 0


def test_a_label_in_too_few_groups_leaves_the_word_to_the_verifier() -> None:
    rows = labelled(48)
    few = np.flatnonzero(rows.targets == 1)[3:]
    targets = rows.targets.copy()
    targets[few] = 0
    judgement = judge_labels(replace(rows, targets=targets), RECIPE, quiet)
    assert "only 3 images of blue in 2 groups" in judgement.opinions[0].unheard
    assert "lower curate.folds" in judgement.opinions[0].unheard


def test_pooled_probabilities_are_geometric_means_and_none_is_certain() -> None:
    one, other = np.asarray([[0.9, 0.1], [1.0, 0.0]]), np.asarray([[0.5, 0.5], [0.5, 0.5]])
    pooled = pool([one, other])
    np.testing.assert_allclose(pooled[0], [0.75, 0.25])
    assert 0.95 < pooled[1, 0] < 0.98
    np.testing.assert_allclose(pool([one, other, other]).sum(axis=1), 1)


def test_agreement_must_surely_beat_the_commonest_label() -> None:
    targets = np.asarray([0] * 90 + [1] * 10)
    always = np.tile([0.9, 0.1], (100, 1))
    assert weigh("verifier", always, targets).unheard == "it agrees with only 90% of the labels"
    truth = np.eye(2)[targets] * 0.8 + 0.1
    assert weigh("verifier", truth, targets).unheard == ""


def test_the_same_recipe_gives_the_same_probabilities() -> None:
    rows = labelled(60)
    first = out_of_fold_probabilities(rows, RECIPE, quiet)
    np.testing.assert_array_equal(first, out_of_fold_probabilities(rows, RECIPE, quiet))
    assert not np.array_equal(first, out_of_fold_probabilities(rows, replace(RECIPE, seed=6), quiet))
    np.testing.assert_allclose(first.sum(axis=1), 1)


def test_progress_advances_once_a_probe() -> None:
    calls: list[int] = []
    out_of_fold_probabilities(labelled(24), RECIPE, lambda: calls.append(1))
    assert len(calls) == 6


def test_folds_keep_groups_whole_and_hold_every_image_out_once_a_repeat() -> None:
    rows = labelled(48)
    held: list[int] = []
    for _, seen, held_out in label_errors._folds(rows, RECIPE):
        assert {rows.groups[row] for row in seen}.isdisjoint(rows.groups[row] for row in held_out)
        held += held_out.tolist()
    assert sorted(held) == sorted([*range(48), *range(48)])


def test_of_a_large_set_a_probe_learns_from_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = labelled(120)
    asked: list[int] = []

    def features(chosen: NDArray[np.int64]) -> Any:
        asked.append(len(chosen))
        return rows.features(chosen)

    monkeypatch.setattr(label_errors, "LEARNED_FROM", 30)
    monkeypatch.setattr(label_errors, "READ_AT_ONCE", 25)
    told = out_of_fold_probabilities(replace(rows, features=features), RECIPE, quiet)
    assert max(asked) == 30
    assert (told.argmax(axis=1) == rows.targets).mean() > 0.9

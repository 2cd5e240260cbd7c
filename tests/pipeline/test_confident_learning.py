"""Confident learning: planted label errors are found, groups never leak, and a clueless network accuses nobody."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.confident_learning import (
    THUMBNAIL,
    Labelled,
    Recipe,
    _folds,
    judge_labels,
    label_scores,
    out_of_fold_probabilities,
)
from pipeline.errors import DataError

RECIPE = Recipe(folds=3, epochs=5, workers=1, seed=5)
LABELS = ("red", "blue")


def pictures(count: int, told: float = 1.0) -> Labelled:
    """Red or blue squares somewhere on noise; ``told`` is how much brighter than the noise they are."""
    rng = np.random.default_rng(0)
    targets = np.arange(count, dtype=np.int64) % 2
    thumbnails = rng.integers(0, 120, (count, *THUMBNAIL, 3)).astype(np.uint8)
    for row, target in enumerate(targets):
        top, left = rng.integers(4, 30), rng.integers(4, 20)
        thumbnails[row, top : top + 20, left : left + 20, 2 * target] += np.uint8(130 * told)
    return Labelled(thumbnails, targets, [f"scene-{row // 4}" for row in range(count)], LABELS)


def quiet() -> None:
    """Take no notice of progress."""


def test_planted_label_errors_are_found_and_clean_labels_left_alone() -> None:
    rows = pictures(240)
    wrong = np.random.default_rng(1).choice(240, 16, replace=False)
    told = rows.targets.copy()
    told[wrong] = 1 - told[wrong]
    judgement = judge_labels(Labelled(rows.thumbnails, told, rows.groups, LABELS), RECIPE, quiet)
    accused = set(np.flatnonzero(judgement.doubted).tolist())
    hits = len(accused & set(wrong.tolist()))
    assert judgement.informative
    assert hits / len(wrong) >= 0.8
    assert hits / len(accused) >= 0.8
    scores = label_scores(told, judgement.probabilities)
    assert scores[wrong].mean() < 0.3 < scores[np.setdiff1d(np.arange(240), wrong)].mean()


def test_a_network_that_learns_nothing_doubts_nothing() -> None:
    judgement = judge_labels(pictures(60, told=0.0), Recipe(3, 1, 1, 5), quiet)
    assert not judgement.informative
    assert not judgement.doubted.any()


def test_the_same_recipe_gives_the_same_probabilities_and_leaves_the_world_as_it_was() -> None:
    import torch

    rows, recipe = pictures(60), Recipe(2, 1, 1, 5)
    torch.manual_seed(1)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    first = out_of_fold_probabilities(rows, recipe, quiet)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert np.array_equal(first, out_of_fold_probabilities(rows, recipe, quiet))
    assert not np.array_equal(first, out_of_fold_probabilities(rows, Recipe(2, 1, 1, 6), quiet))
    assert first.sum(axis=1) == pytest.approx(1)


def test_progress_advances_once_a_fold() -> None:
    calls: list[int] = []
    out_of_fold_probabilities(pictures(24), Recipe(2, 2, 1, 5), lambda: calls.append(1))
    assert len(calls) == 2


def test_two_processes_learn_what_one_does() -> None:
    rows = pictures(24)
    one, two = (out_of_fold_probabilities(rows, Recipe(2, 1, workers, 5), lambda: None) for workers in (1, 2))
    np.testing.assert_array_equal(one, two)


def test_folds_keep_groups_whole_and_hold_every_image_out_once() -> None:
    rows = pictures(48)
    held: list[int] = []
    for seen, held_out in _folds(rows, RECIPE):
        assert {rows.groups[row] for row in seen}.isdisjoint(rows.groups[row] for row in held_out)
        held += held_out.tolist()
    assert sorted(held) == list(range(48))


def test_fewer_groups_than_folds_name_the_param() -> None:
    with pytest.raises(DataError, match=r"curate.folds: 3; found 4 images of red in 2 groups.*at least 3 groups"):
        judge_labels(pictures(8), RECIPE, quiet)


def test_a_label_in_too_few_groups_is_refused() -> None:
    rows = pictures(24)
    told = np.zeros(24, np.int64)
    told[:2] = 1
    with pytest.raises(DataError, match="found 2 images of blue in 1 groups"):
        judge_labels(Labelled(rows.thumbnails, told, rows.groups, LABELS), RECIPE, quiet)

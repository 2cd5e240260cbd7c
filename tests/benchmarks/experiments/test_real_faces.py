"""Classifiers judged on photographs: sources differ only in their images, and figures are means over trainings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.experiment_harness.course import Experiment
from benchmarks.experiments import real_faces
from benchmarks.experiments.real_faces import (
    Judged,
    Params,
    balanced_accuracy,
    best_balanced_accuracy,
    judge,
    plan,
    summarise,
)
from pipeline.config.params import Params as AllParams
from pipeline.config.params import load_params
from pipeline.errors import ParamsError
from tests.benchmarks.conftest import Table
from tests.benchmarks.experiments.steps import ordered_names, silent

RNG = np.random.default_rng(3)


@pytest.fixture
def experiment(root: Path, base: AllParams, tmp_path: Path) -> Experiment[Params]:
    params = Params(photographs=tmp_path / "street", images=60, seeds=(11, 12))
    return Experiment(tmp_path, params, base, root / "policies")


def judged(distance: float, count: int = 200) -> Judged:
    positive = np.arange(count) % 2 == 1
    return Judged(RNG.normal(np.where(positive, distance, -distance), 1), positive)


def test_sources_differ_in_their_images_and_trainings_in_their_seed(experiment: Experiment[Params]) -> None:
    steps = ordered_names(plan(experiment))
    assert steps[0] == "photographs/generate"
    generators = {name: load_params(experiment.work / name / "params.yaml").generate for name in real_faces.SYNTHETIC}
    assert {name: (each.generator, bool(each.mix)) for name, each in generators.items()} == {
        "generated": ("stable_diffusion", False),
        "rendered": ("rendered", False),
        "mixed": ("stable_diffusion", True),
    }
    trained = [load_params(experiment.work / f"mixed-seed-{seed}/params.yaml") for seed in (11, 12)]
    assert [each.train.seed for each in trained] == [11, 12]
    assert steps.count("mixed-seed-12/judge") == 1


def test_photographs_are_judged_by_a_network_that_saw_the_other_half_alone(experiment: Experiment[Params]) -> None:
    steps = {step.name: step for step in plan(experiment)}
    parts = [load_params(experiment.work / f"half-{n}-seed-11/params.yaml").dataset.part for n in (0, 1)]
    assert parts == [(0.0, 0.5), (0.5, 1.0)]
    assert "half-0/split" in steps["half-0-seed-11/train"].needs
    assert {"half-0-seed-11/train", "half-1/generate"} <= {*steps["half-0-seed-11/judge"].needs}


def test_the_best_threshold_is_at_least_as_good_as_any() -> None:
    each = judged(0.8)
    best = best_balanced_accuracy(each)
    tried = [balanced_accuracy(each, shift) for shift in np.linspace(-4, 4, 500)]
    assert best >= max(tried) - 1e-12
    assert best == pytest.approx(max(tried), abs=0.01)
    constant = Judged(np.zeros(10), np.arange(10) < 5)
    assert best_balanced_accuracy(constant) == 0.5


def test_figures_are_means_over_trainings_with_intervals_over_photographs() -> None:
    positive = np.arange(400) % 2 == 1
    trainings = [Judged(RNG.normal(np.where(positive, gap, -gap), 1), positive) for gap in (0.5, 1.0)]
    result = summarise(trainings, (11, 12))
    assert result.auc.value == pytest.approx(np.mean(result.aucs))
    assert result.aucs[0] < result.auc.value < result.aucs[1]
    for estimate in (result.auc, result.balanced_accuracy, result.best_balanced_accuracy):
        assert estimate.low < estimate.value < estimate.high
        assert estimate.high - estimate.low < 0.12
    assert result.balanced_accuracy.value <= result.best_balanced_accuracy.value
    assert result.photographs == 400


def test_log_odds_are_relative_to_the_threshold(table: Table) -> None:
    predictions = table(100, {"checkpoint": 10})
    each = judge(predictions)
    assert balanced_accuracy(each) == pytest.approx(0.9)
    assert each.positive.tolist() == [row % 2 == 1 for row in range(100)]


def test_without_photographs_the_error_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"real_faces photographs: null; .*--set photographs=FOLDER"):
        real_faces.run(Params(), tmp_path, silent)

"""The benchmark of the gate: its steps, and its figures with predictions of known quality."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.evaluation.measurement import ModelFile
from benchmarks.evaluation.predictions import CHECKPOINT, write_predictions
from benchmarks.experiment_harness.course import Experiment
from benchmarks.experiment_harness.training_run import PREDICTIONS
from benchmarks.experiments.gate_power import Params, _simulate, measure, plan
from benchmarks.experiments.gate_power.damaged_models import INT8, MODEL_FILE, PAIRS, SLOWER, SOUND
from benchmarks.experiments.gate_power.real_pairs import ARTIFACT, TIMINGS, PairTimings
from benchmarks.experiments.gate_power.simulated_pairs import DAMAGES, NO_REGRESSION
from benchmarks.latency.side_by_side import PairedTiming
from pipeline.config.params import Params as AllParams
from pipeline.data.storage import write_json
from tests.benchmarks.conftest import Table
from tests.benchmarks.experiments.steps import ordered_names, silent
from tests.benchmarks.gate.verdicts import missing

SMALL = Params(selfies=(400,), no_regression_pairs=1, damaged_pairs=1, draws=2, slowdown_runs=0, workers=1)


@pytest.fixture
def experiment(root: Path, base: AllParams, tmp_path: Path) -> Experiment[Params]:
    helmet = base.model_copy(update={"policy": "helmet"})
    return Experiment(tmp_path, SMALL, helmet, root / "policies")


def test_every_step_comes_after_those_it_needs(experiment: Experiment[Params]) -> None:
    names = ordered_names(plan(experiment, silent))
    assert {f"{name}/test" for name in (*PAIRS, SOUND, INT8)} <= set(names)
    assert not [name for name in names if name.startswith("slowdowns/")]


def test_the_slower_graph_is_timed_after_both_models_exist(experiment: Experiment[Params]) -> None:
    steps = {step.name: step for step in plan(experiment, silent)}
    assert {f"{SOUND}/convert-onnx", f"{SLOWER}/model", "data/selfies"} <= set(steps[f"{SLOWER}/time"].needs)


def test_slowdowns_are_timed_only_if_runs_are_requested(experiment: Experiment[Params]) -> None:
    params = SMALL.model_copy(update={"slowdown_runs": 5, "slowdown_pool": 2})
    assert "slowdowns/time" in ordered_names(plan(replace(experiment, params=params), silent))


def test_every_figure_of_the_contract_is_measured(experiment: Experiment[Params], table: Table) -> None:
    """All predictions are sound, except that one model is wrong on a tenth of the selfies."""
    (experiment.work / "simulated-400").mkdir()
    _simulate(experiment, 400, experiment.work / "simulated-400")
    sound = table(800, wrong={"onnx-float32": 16, CHECKPOINT: 16})
    for name in (*PAIRS, SOUND, INT8):
        predictions = missing(sound, range(100, 180), ARTIFACT) if name == "jittered" else sound
        columns = {column: predictions.probabilities[column] for column in (CHECKPOINT, ARTIFACT)}
        thresholds = dict.fromkeys(columns, 0.5)
        write_predictions(
            experiment.work / name / PREDICTIONS, replace(predictions, probabilities=columns, thresholds=thresholds)
        )
        file = ModelFile(format="onnx", recipe="float32", sha256=name, size_bytes=1000)
        write_json(experiment.work / name / MODEL_FILE, file)
    slow = PairedTiming(ratios=(1.2,), candidate_p50_ms=1.2, baseline_p50_ms=1.0)
    write_json(
        experiment.work / SLOWER / TIMINGS,
        PairTimings(timings=(slow, slow), candidate_peak_rss_bytes=10**8, baseline_peak_rss_bytes=10**8),
    )
    result = measure(experiment)
    assert result.identical_pass_rate in (0.0, 1.0)
    assert set(result.false_alarm_rate) == set(NO_REGRESSION)
    assert set(result.damage_caught) >= {*DAMAGES, *PAIRS} - {"reexported", "jittered_slightly"}
    assert result.damage_caught["jittered"] == result.damage_caught[SLOWER] == 1.0
    assert result.real["jittered"].points_lost == pytest.approx(10.0)
    assert result.real[SLOWER].slower == pytest.approx(0.2)
    assert list(result.real[SLOWER].failed_by) == ["latency_vs_baseline"]
    assert result.damage_caught["labels_flipped"] == 0.0, "its predictions are the sound ones"
    assert result.slowdown_caught == dict.fromkeys(("0.00", "0.02", "0.05", "0.10"))
    assert {"slowdowns", "slowdown_settings"}.isdisjoint(result.model_dump(exclude_unset=True))

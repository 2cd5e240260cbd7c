"""Verdicts on a real pair, with predictions of known quality."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.evaluation.measurement import ModelFile
from benchmarks.evaluation.predictions import CHECKPOINT, Predictions, write_predictions
from benchmarks.experiment_harness.training_run import PREDICTIONS
from benchmarks.experiments.gate_power.damaged_models import MODEL_FILE, SOUND
from benchmarks.experiments.gate_power.real_pairs import ARTIFACT, SubsetDraws, judge_real_pair
from pipeline.config.params import GateParams
from pipeline.data.storage import write_json
from tests.benchmarks.conftest import Table
from tests.benchmarks.gate.verdicts import factored, missing


def write_model(folder: Path, table: Predictions) -> None:
    columns = {column: table.probabilities[column] for column in (CHECKPOINT, ARTIFACT)}
    thresholds = dict.fromkeys(columns, 0.5)
    write_predictions(folder / PREDICTIONS, replace(table, probabilities=columns, thresholds=thresholds))
    file = ModelFile(format="onnx", recipe="float32", sha256=folder.name, size_bytes=1000)
    write_json(folder / MODEL_FILE, file)


def test_the_loss_is_measured_on_the_whole_pool_and_in_its_worst_slice(
    gate_params: GateParams, table: Table, tmp_path: Path
) -> None:
    pool = factored(table(2000), light=lambda number: "night" if number < 500 else "day")
    write_model(tmp_path / SOUND, pool)
    write_model(tmp_path / "jittered", missing(pool, range(100, 300), ARTIFACT))
    limits = gate_params.model_copy(update={"slice_pairs": ()})
    result = judge_real_pair(tmp_path, "jittered", limits, SubsetDraws(1000, 3, 1))
    assert (result.pairs, result.fail_share.value, result.worse, result.slower) == (3, 1.0, True, None)
    assert result.points_lost == pytest.approx(10.0)
    assert (result.worst_slice, result.worst_slice_points_lost) == ("light=night", pytest.approx(40.0))


def test_without_slices_there_is_no_worst_one(gate_params: GateParams, table: Table, tmp_path: Path) -> None:
    for name in (SOUND, "reexported"):
        write_model(tmp_path / name, table(800))
    result = judge_real_pair(tmp_path, "reexported", gate_params, SubsetDraws(400, 2, 1))
    assert (result.worst_slice, result.worst_slice_points_lost) == (None, None)
    assert (result.worse, result.points_lost) == (False, 0.0)

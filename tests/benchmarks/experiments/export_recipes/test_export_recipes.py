"""The benchmark of export recipes: its steps, and figures equal to those computed by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from benchmarks.evaluation.estimates import Estimate
from benchmarks.evaluation.predictions import CHECKPOINT, Predictions, write_predictions
from benchmarks.experiment_harness.course import Experiment
from benchmarks.experiment_harness.workspace import derive_params, open_folder, step_key
from benchmarks.experiments.export_recipes import (
    ArtifactResult,
    Params,
    Result,
    Sizes,
    compare_artifact,
    formats,
    plan,
    read_backbone,
)
from benchmarks.report.experiments.export_recipes import ExportRecipesResult
from pipeline.config.params import Params as AllParams
from pipeline.config.params import load_params
from pipeline.data.storage import write_json
from pipeline.metrics.statistics import wilson_interval
from tests.benchmarks.experiments.steps import ordered_names, stored


@pytest.fixture
def experiment(root: Path, base: AllParams, tmp_path: Path) -> Experiment[Params]:
    return Experiment(tmp_path, Params(images=60, selfies=40), base, root / "policies")


def as_rows(*positive: float) -> np.ndarray:
    return np.array([[1 - each, each] for each in positive], np.float32)


TABLE = Predictions(
    ids=("a", "b", "c", "d"),
    sha256=("1", "2", "3", "4"),
    targets=np.array([1, 1, 0, 0]),
    labels=("no_helmet", "helmet"),
    thresholds={CHECKPOINT: 0.5, "onnx-float32": 0.5, "onnx-broken": 0.5},
    probabilities={
        CHECKPOINT: as_rows(0.9, 0.55, 0.2, 0.1),
        "onnx-float32": as_rows(0.8, 0.45, 0.2, 0.6),
        "onnx-broken": as_rows(np.nan, 0.4, 0.2, 0.1),
    },
)


def test_every_step_comes_once_and_after_those_it_needs(experiment: Experiment[Params]) -> None:
    names = ordered_names(plan(experiment))
    assert len([name for name in names if name.endswith("/train")]) == 4
    assert {f"mobilenetv2_100/convert-{name}" for name in formats(experiment)} <= set(names)


def test_only_pretrained_backbones_learn_from_photographs(root: Path, base: AllParams, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "mobilenetv2_100.safetensors").touch()
    (tmp_path / "pictures").mkdir()
    params = Params(photographs=tmp_path / "pictures", weights=tmp_path / "weights")
    names = ordered_names(plan(Experiment(tmp_path / "work", params, base, root / "policies")))
    trained = {name for name in names if name.endswith("/train")}
    assert trained == {f"{name}/train" for name in (*params.backbones, "photographs-mobilenetv2_100")}
    own = load_params(tmp_path / "work/photographs-mobilenetv2_100/params.yaml")
    assert own.train.pretrained == str(tmp_path / "weights" / "mobilenetv2_100.safetensors")
    assert (own.train.padding, own.dataset.source, own.selfies.names) == ("same", "photos", ("photographs",))
    assert own.dataset.part[1] == own.selfies.photographs[0].part[0]


def test_photographs_without_pretrained_weights_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"weights: None; expected a folder with one of mobilenetv3_small_100"):
        Params(photographs=tmp_path)


def test_folders_of_backbones_differ_only_in_the_backbone(experiment: Experiment[Params]) -> None:
    list(plan(experiment))
    names = ("mobilenetv2_100", "tf_efficientnet_lite0")
    one, other = (load_params(experiment.work / name / "params.yaml") for name in names)
    assert (one.train.backbone, other.train.backbone) == names
    assert one.train.model_copy(update={"backbone": names[1]}) == other.train
    assert one.model_copy(update={"train": other.train}) == other
    assert (one.prompts.count, one.selfies.count) == (60, 40)


def test_a_conversion_depends_on_the_params_of_its_own_format(experiment: Experiment[Params]) -> None:
    steps = {step.name: step for step in plan(experiment)}
    names = formats(experiment)
    before = {name: step_key(steps[f"mobilenetv2_100/convert-{name}"], []) for name in names}
    assert len(set(before.values())) == len(names) >= 3
    folder = experiment.work / "mobilenetv2_100"
    convert = experiment.base.convert.formats
    changed = derive_params(
        load_params(folder / "params.yaml"),
        {"convert": {"formats": {**convert, "onnx": {**convert["onnx"], "opset": 21}}}},
    )
    open_folder(folder, changed, experiment.policies)
    after = {name: step_key(steps[f"mobilenetv2_100/convert-{name}"], []) for name in names}
    assert {name for name in names if before[name] != after[name]} == {"onnx"}


def test_figures_of_an_artifact_equal_those_computed_by_hand() -> None:
    result = compare_artifact(TABLE, "onnx-float32", 0.1, 10)
    assert result.accuracy_drop_points == pytest.approx(50.0)
    assert result.agreement == 0.5
    assert result.agreement_sure == pytest.approx(2 / 3)
    assert result.max_abs_probability_diff == pytest.approx(0.5)
    assert result.fnr == 0.5


def test_without_sure_decisions_there_is_no_agreement_on_them() -> None:
    assert compare_artifact(TABLE, "onnx-float32", 0.5, 10).agreement_sure is None


def test_an_artifact_without_usable_predictions_has_only_a_size(tmp_path: Path) -> None:
    write_predictions(tmp_path / "predictions.parquet", TABLE)
    write_json(tmp_path / "sizes.json", Sizes(size_bytes={"onnx-float32": 10, "onnx-broken": 20}))
    result = read_backbone(tmp_path, 0.1)
    assert result.artifacts["onnx-broken"] == ArtifactResult(size_bytes=20, arm64_instructions=None)
    assert result.artifacts["onnx-float32"].size_bytes == 10
    assert (result.checkpoint.accuracy.value, result.checkpoint.fnr) == (1.0, 0.0)
    assert stored(result)["onnx-broken"] == {"size_bytes": 20, "arm64_instructions": None}


def test_the_report_reads_what_the_benchmark_writes(tmp_path: Path) -> None:
    write_predictions(tmp_path / "predictions.parquet", TABLE)
    write_json(tmp_path / "sizes.json", Sizes(size_bytes={"onnx-float32": 10}))
    result = Result(backbones={"mobilenetv2_100": read_backbone(tmp_path, 0.1)})
    shown = ExportRecipesResult.model_validate(stored(result)).backbones["mobilenetv2_100"]
    assert shown.checkpoint.accuracy == Estimate(value=1.0, low=wilson_interval(4, 4)[0], high=1.0)
    assert shown.artifacts["onnx-float32"].accuracy_drop_points == pytest.approx(50.0)

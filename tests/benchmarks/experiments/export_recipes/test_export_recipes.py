"""Exports of four backbones: the plan asks for each step once, and figures are those a hand would work out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from benchmarks.evaluation.predictions import CHECKPOINT, Predictions, write_predictions
from benchmarks.experiment_harness.workspace import step_key
from benchmarks.experiments.export_recipes import Course, Params, Sizes, artifact_figures, figures, plan
from pipeline.data.storage import write_json


@pytest.fixture
def course(root: Path, tmp_path: Path) -> Course:
    values = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    return Course(tmp_path, values, Params(images=60, selfies=40))


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


def test_every_step_comes_once_and_after_those_it_needs(course: Course) -> None:
    seen: set[str] = set()
    for step in plan(course):
        assert set(step.before) <= seen, step.name
        assert step.name not in seen
        seen.add(step.name)
    assert len([name for name in seen if name.endswith("/train")]) == 4
    assert {f"mobilenetv2_100/convert-{name}" for name in course.formats} <= seen


def test_photographs_are_learned_from_by_the_backbones_that_have_weights(root: Path, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "mobilenetv2_100.safetensors").touch()
    (tmp_path / "pictures").mkdir()
    values = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    params = Params(photographs=tmp_path / "pictures", weights=tmp_path / "weights")
    seen: set[str] = set()
    for step in plan(Course(tmp_path / "work", values, params)):
        assert set(step.before) <= seen, step.name
        seen.add(step.name)
    trained = {name for name in seen if name.endswith("/train")}
    assert trained == {f"{name}/train" for name in (*params.backbones, "photographs-mobilenetv2_100")}
    own = yaml.safe_load((tmp_path / "work/photographs-mobilenetv2_100/params.yaml").read_text(encoding="utf-8"))
    assert own["train"]["pretrained"] == str(tmp_path / "weights" / "mobilenetv2_100.safetensors")
    assert (own["train"]["padding"], own["dataset"]["source"], own["selfies"]["source"]) == ("same", "photos", "photos")
    assert own["dataset"]["part"][1] == own["selfies"]["part"][0]


def test_photographs_without_weights_to_start_from_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"weights: None; expected a folder with one of mobilenetv3_small_100"):
        Params(photographs=tmp_path)


def test_backbones_differ_in_nothing_but_their_name(course: Course) -> None:
    list(plan(course))
    one, other = (
        yaml.safe_load((course.work / name / "params.yaml").read_text(encoding="utf-8"))
        for name in ("mobilenetv2_100", "tf_efficientnet_lite0")
    )
    assert (one["train"].pop("backbone"), other["train"].pop("backbone")) == (
        "mobilenetv2_100",
        "tf_efficientnet_lite0",
    )
    assert one == other
    assert (one["prompts"]["count"], one["selfies"]["count"]) == (60, 40)


def test_an_export_depends_on_the_params_of_its_own_format(course: Course) -> None:
    steps = {step.name: step for step in plan(course)}
    before = {name: step_key(steps[f"mobilenetv2_100/convert-{name}"], []) for name in course.formats}
    assert len(set(before.values())) == len(course.formats) >= 3
    path = course.work / "mobilenetv2_100" / "params.yaml"
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    values["convert"]["formats"]["onnx"]["opset"] = 21
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    after = {name: step_key(steps[f"mobilenetv2_100/convert-{name}"], []) for name in course.formats}
    assert {name for name in course.formats if before[name] != after[name]} == {"onnx"}


def test_figures_of_an_artifact_are_those_worked_out_by_hand() -> None:
    found = artifact_figures(TABLE, "onnx-float32", 0.1)
    assert found["accuracy_drop_points"] == pytest.approx(50.0)
    assert found["agreement"] == 0.5
    assert found["agreement_sure"] == pytest.approx(2 / 3)
    assert found["max_abs_probability_diff"] == pytest.approx(0.5)
    assert found["fnr"] == 0.5


def test_an_artifact_without_usable_answers_has_a_size_and_no_figures(tmp_path: Path) -> None:
    write_predictions(tmp_path / "predictions.parquet", TABLE)
    write_json(tmp_path / "sizes.json", Sizes(size_bytes={"onnx-float32": 10, "onnx-broken": 20}))
    found = figures(tmp_path, 0.1)
    assert found["onnx-broken"] == {"size_bytes": 20, "arm64_instructions": None}
    assert found["onnx-float32"]["size_bytes"] == 10
    assert (found[CHECKPOINT]["accuracy"], found[CHECKPOINT]["fnr"]) == (1.0, 0.0)

"""A measurement on disk: the keys that others read, a round trip without loss, and files that are refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from pydantic import ValidationError

from benchmarks.evaluation.measurement import ArtifactFigures, Measurement, SliceFigures, read_measurement
from pipeline.data.storage import write_json
from pipeline.errors import DataError
from tests.benchmarks.evaluation.measurements import NINETY, artifact_figures, full_measurement


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    write_json(tmp_path / "measure.json", full_measurement())
    return tmp_path / "measure.json"


def rewritten(path: Path, value: object, *place: str) -> Path:
    """The same file with another value at a place."""
    content = json.loads(path.read_text())
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path.write_text(json.dumps(content))
    return path


def test_a_measurement_is_read_as_it_was_written(stored: Path) -> None:
    assert read_measurement(stored) == full_measurement()


def test_an_estimate_is_stored_as_three_plain_numbers(stored: Path) -> None:
    content = json.loads(stored.read_text())
    row = content["artifacts"]["onnx-float32"]
    assert (row["accuracy"], row["accuracy_low"], row["accuracy_high"]) == (0.9, 0.85, 0.94)
    assert (row["format"], row["recipe"]) == ("onnx", "float32")
    names = {"fnr", "fpr", "auc", "ece", "size_bytes", "agreement", "max_abs_probability_diff", "arm64_instructions"}
    assert names <= set(row)
    assert content["slices"]["light"]["night"]["accuracy_low"] == 0.85
    assert content["camera"]["jpeg"]["3"]["accuracy_high"] == 0.94
    assert content["checkpoint"]["accuracy"] == 0.9


def test_an_estimate_that_was_not_measured_is_null_three_times() -> None:
    row = SliceFigures(count=2)
    assert row.model_dump() == {
        "count": 2,
        "accuracy": None,
        "accuracy_low": None,
        "accuracy_high": None,
        "fnr": None,
        "fpr": None,
        "artifacts": {},
    }
    assert SliceFigures.model_validate_json(row.model_dump_json()) == row


def test_a_slice_without_the_interval_of_its_accuracy_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"accuracy\.low"):
        SliceFigures.model_validate({"count": 30, "accuracy": 0.9})


def test_no_stored_figure_belongs_to_a_machine(stored: Path) -> None:
    text = stored.read_text()
    assert [word for word in ("_ms", "rss", "seconds") if word in text] == []


def test_the_columns_are_the_checkpoint_and_every_artifact() -> None:
    columns = full_measurement().columns
    assert list(columns) == ["checkpoint", "onnx-float32", "tflite-static_wi8_ai8"]
    assert columns["checkpoint"].accuracy == NINETY


def test_an_artifact_stands_under_its_own_name(stored: Path) -> None:
    rewritten(stored, json.loads(artifact_figures("onnx", "float16").model_dump_json()), "artifacts", "onnx-float32")
    with pytest.raises(DataError, match=r"measure\.json: .* expected the figures of onnx-float32 .* not of onnx-flo"):
        read_measurement(stored)


@pytest.mark.parametrize("value", [math.nan, math.inf, "0.9", True, [0.9]])
@pytest.mark.parametrize("name", ["accuracy", "accuracy_low", "agreement", "fnr"])
def test_a_figure_that_is_not_a_finite_number_is_refused_with_its_place(stored: Path, name: str, value: object) -> None:
    rewritten(stored, value, "artifacts", "onnx-float32", name)
    with pytest.raises(DataError, match=r"measure\.json: artifacts\.onnx-float32\..*: found .*; expected a .*run dvc"):
        read_measurement(stored)


@pytest.mark.parametrize("value", [-1, 1.5, "12", True, None])
def test_a_size_that_is_not_a_count_is_refused(stored: Path, value: object) -> None:
    rewritten(stored, value, "artifacts", "onnx-float32", "size_bytes")
    with pytest.raises(DataError, match=r"artifacts\.onnx-float32\.size_bytes: found"):
        read_measurement(stored)


def test_a_missing_file_is_refused_with_the_next_command(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"measure\.json: missing; expected a measurement; run dvc repro measure"):
        read_measurement(tmp_path / "measure.json")


def test_a_missing_key_is_named(stored: Path) -> None:
    content = json.loads(stored.read_text())
    del content["artifacts"]["onnx-float32"]["agreement"]
    stored.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"artifacts\.onnx-float32\.agreement: missing; expected a figure or null"):
        read_measurement(stored)


def test_a_file_of_another_version_is_refused(stored: Path) -> None:
    rewritten(stored, 1.2, "artifacts", "onnx-float32", "latency_p50_ms")
    with pytest.raises(
        DataError, match=r"onnx-float32\.latency_p50_ms: unknown key; expected a file that this version"
    ):
        read_measurement(stored)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"measured"', "\x00"])
def test_a_file_that_is_no_measurement_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "measure.json").write_text(text)
    with pytest.raises(DataError, match=r"measure\.json: .*found .*; expected .*; run gossamer baseline accept"):
        read_measurement(tmp_path / "measure.json", "gossamer baseline accept")


def test_records_are_frozen_and_compare_by_value() -> None:
    assert artifact_figures() == artifact_figures()
    assert ArtifactFigures.model_validate(artifact_figures().model_dump()) == artifact_figures()
    assert Measurement.model_validate(full_measurement().model_dump(mode="json")) == full_measurement()
    with pytest.raises(ValidationError, match="frozen"):
        artifact_figures().fnr = 0.0  # type: ignore[misc]

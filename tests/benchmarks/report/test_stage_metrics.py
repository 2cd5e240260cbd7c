"""Section of the report on metrics of the stages."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.report.formatting import UNMEASURED_HERE
from benchmarks.report.stage_metrics import MetricRow, StageMetrics, read_stage_metrics
from pipeline.data.storage import write_json
from pipeline.errors import DataError
from tests.benchmarks.evaluation.measurements import artifact_figures


def test_every_format_that_was_converted_is_read(tmp_path: Path) -> None:
    for name in ("onnx", "a-new-format"):
        write_json(tmp_path / f"convert-{name}.json", {"float32": {"agreement": 1.0}, "int8": {"float_ops": 5}})
    metrics = read_stage_metrics(tmp_path)
    assert list(metrics.results) == ["convert-a-new-format", "convert-onnx"]
    assert metrics.float_ops(artifact_figures("a-new-format", "int8")) == 5
    assert metrics.float_ops(artifact_figures("onnx", "float32")) is None
    assert metrics.float_ops(artifact_figures("tflite", "int8")) is None


def test_stages_come_in_the_order_of_the_chain_and_others_files_are_not_read(tmp_path: Path) -> None:
    for name in ("train", "prompts", "measure", "gate", "summary", "convert-onnx"):
        write_json(tmp_path / f"{name}.json", {"val_accuracy": 0.97} if name == "train" else {})
    metrics = read_stage_metrics(tmp_path)
    assert list(metrics.results) == ["prompts", "train", "convert-onnx"]
    assert metrics.missing() == ["generate", "curate"]


def test_figures_of_this_machine_follow_those_of_the_result(tmp_path: Path) -> None:
    write_json(tmp_path / "generate.json", {"images": 4, "faults": {"black": 1}})
    write_json(tmp_path / "train.json", {"val_accuracy": 0.97})
    write_json(tmp_path / "machine.json", {"generate": {"images_per_second": 27.7}})
    assert read_stage_metrics(tmp_path).rows() == {
        "generate": [MetricRow("images", 4), MetricRow("faults.black", 1), MetricRow("images_per_second", 27.7)],
        "train": [MetricRow("val_accuracy", 0.97), MetricRow("seconds", UNMEASURED_HERE)],
    }


def test_rejection_rates_by_slice_are_left_to_the_section_on_curation(tmp_path: Path) -> None:
    rates = {"light": {"night": {"count": 8, "rejected": 4, "rate": 0.5, "low": 0.1, "high": 0.9}}}
    write_json(tmp_path / "curate.json", {"kept": 4, "rejection_rate": 0.1, "rejection_rate_by": rates})
    metrics = read_stage_metrics(tmp_path)
    assert metrics.curation is not None
    assert metrics.curation.rejection_rate_by["light"]["night"].rate == 0.5
    assert "rejection_rate_by" not in {row.name for row in metrics.rows()["curate"]}


def test_an_empty_folder_has_no_metrics(tmp_path: Path) -> None:
    assert read_stage_metrics(tmp_path) == StageMetrics()


def test_a_damaged_file_is_an_error_that_names_key_and_command(tmp_path: Path) -> None:
    write_json(tmp_path / "convert-onnx.json", {"float32": {"float_ops": "many"}})
    with pytest.raises(DataError, match=r"convert-onnx\.json: float32\.float_ops: .*; run dvc repro convert"):
        read_stage_metrics(tmp_path)

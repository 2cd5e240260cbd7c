"""The figures that people compare: few, flat enough for DVC's tables, and null where something was not measured."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import pytest
from dvc.repo.metrics.show import _extract_metrics

from benchmarks.evaluation.estimates import Estimate
from benchmarks.evaluation.measurement import SliceFigures
from benchmarks.evaluation.summary import CurationSummary, Summary, TrainingSummary, summarise
from pipeline.data.records import Check, Outcome, Verdict
from tests.benchmarks.evaluation.measurements import artifact_figures, changed, full_measurement

CURATION = CurationSummary(kept=96, rejection_rate=0.04)
TRAINING = TrainingSummary(val_accuracy=0.98)


def verdict_of(*outcomes: Outcome) -> Verdict:
    checks = [Check(name="c", artifact="a", value=1.0, limit=1.0, verdict=outcome, reason="") for outcome in outcomes]
    return Verdict(verdict="unmeasured", baseline="", checks=tuple(checks))


def depths(figures: Mapping[str, object], depth: int = 1) -> Iterator[int]:
    for value in figures.values():
        if isinstance(value, Mapping):
            yield from depths(value, depth + 1)
        else:
            yield depth


def test_a_summary_has_about_twenty_figures_at_two_levels_and_dvc_shows_all_of_them() -> None:
    measurement = full_measurement()
    rows = [*measurement.artifacts.values(), artifact_figures("coreml", "float16")]
    measurement = measurement.model_copy(update={"artifacts": {row.name: row for row in rows}})
    stored = json.loads(summarise(measurement, verdict_of("pass"), CURATION, TRAINING).model_dump_json())
    assert 18 <= len(list(depths(stored))) <= 24
    assert set(depths(stored)) == {2}
    assert stored.pop("photographs") == {}, "DVC leaves out a section without figures"
    stored["checkpoint"]["camera_accuracy"] = 0.9  # this checkpoint was not run under distortions
    assert _extract_metrics(stored, "metrics/summary.json") == stored


def test_figures_of_the_checkpoint_are_those_of_the_measurement() -> None:
    measurement = full_measurement()
    low = SliceFigures(count=50, accuracy=Estimate(value=0.7, low=0.6, high=0.8))
    slices = {**measurement.slices, "age": {"young": low, "old": SliceFigures(count=3)}}
    checkpoint = summarise(measurement.model_copy(update={"slices": slices}), None).checkpoint
    assert checkpoint is not None
    assert checkpoint.accuracy == measurement.checkpoint.accuracy
    assert checkpoint.cost_per_1000 == 100.0
    assert checkpoint.worst_slice_accuracy == 0.7
    assert checkpoint.largest_error_rate_gap == 0.2
    assert checkpoint.camera_accuracy is None
    flat = json.loads(checkpoint.model_dump_json())
    assert (flat["accuracy_low"], flat["accuracy"], flat["accuracy_high"]) == (0.85, 0.9, 0.94)


def test_each_format_stands_for_its_worst_artifact_and_for_its_smallest() -> None:
    worse = artifact_figures("onnx", "int8").model_copy(
        update={"accuracy": Estimate(value=0.8, low=0.7, high=0.9), "size_bytes": 400}
    )
    measurement = full_measurement()
    measurement = measurement.model_copy(update={"artifacts": {**measurement.artifacts, worse.name: worse}})
    summary = summarise(measurement, None)
    assert summary.lowest_accuracy == {"onnx": 0.8, "tflite": 0.9}
    assert summary.smallest_size_bytes == {"onnx": 400, "tflite": 1234}


def test_an_artifact_without_a_figure_leaves_its_format_without_the_lowest() -> None:
    measurement = changed(full_measurement(), "onnx-float32", accuracy=None)
    assert summarise(measurement, None).lowest_accuracy == {"onnx": None, "tflite": 0.9}


def test_checks_that_failed_and_checks_without_a_result_are_counted() -> None:
    gate = summarise(None, verdict_of("pass", "fail", "unmeasured", "unmeasured")).gate
    assert gate is not None
    assert (gate.verdict, gate.checks_failed, gate.checks_unmeasured) == ("unmeasured", 1, 2)


def test_stages_that_have_not_run_leave_their_part_empty() -> None:
    assert summarise(None, None) == Summary()


@pytest.mark.parametrize("record", [CURATION, TRAINING])
def test_other_keys_of_the_stage_s_metrics_are_ignored(record: CurationSummary | TrainingSummary) -> None:
    assert type(record).model_validate({**record.model_dump(), "decisions": {"kept": 1}}) == record

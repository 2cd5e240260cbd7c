"""What a phone's camera does, on the page: measured figures, warmer where they fall, and what is not measured."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.evaluation.inference import EvaluationSet, Runtimes
from benchmarks.report import stage as report
from benchmarks.report.inputs import Gallery, ReportInput
from benchmarks.report.robustness import camera_tables, heat
from benchmarks.robustness.distortions import DISTORTIONS, INTEGRATION_ERRORS
from benchmarks.robustness.evaluate import run
from pipeline.config.params import MeasureParams, ReportParams

PARAMS = ReportParams(sample_images=0, worst_images=0)
NOTHING = ReportInput("helmet", "Does the rider wear a helmet?")


@pytest.fixture
def found(measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes) -> ReportInput:
    camera = measure_params.camera.model_copy(update={"selfies": 12, "artifact_selfies": 6})
    names = ["coreml-float16", "onnx-float32", "tflite-float32", "tflite-static_wi8_ai8"]
    empty: dict[str, Any] = {"checkpoint": {}, "artifacts": {name: {} for name in names}, "unmeasured": {}}
    measured = run(measure_params.model_copy(update={"camera": camera}), evaluation_set, runtimes).add_to(empty)
    return replace(NOTHING, metrics={"measure": measured}, selfies=Gallery(evaluation_set.selfies, evaluation_set.rows))


def page(found: ReportInput) -> str:
    return report.run(PARAMS, found).html.replace("\u00a0", " ")


def test_every_distortion_and_integration_error_is_on_the_page_with_a_picture(found: ReportInput) -> None:
    text = page(found)
    for kind in DISTORTIONS.values():
        assert f'<td class="name">{kind.description}</td>' in text
    for kind in INTEGRATION_ERRORS.values():
        assert f"If the app {kind.description}: <b" in text
    tables = camera_tables(found)
    assert len(tables.examples) == len(DISTORTIONS)
    assert all(each.uri.startswith("data:image/jpeg;base64,") for each in tables.mistakes)
    assert "One selfie at severity 3" in text
    assert 'title="quality 65: ' in text


def test_figures_are_the_measured_ones(found: ReportInput) -> None:
    measured = copy.deepcopy(dict(found.metrics["measure"]))
    measured["camera"]["night_noise"]["3"] |= {
        "accuracy": 0.123,
        "checkpoint_accuracy": 0.5,
        "artifacts": {"onnx-float32": 0.33, "tflite-float32": 0.77},
    }
    measured["camera_basis"]["clean_accuracy"] = 0.9
    changed = replace(found, metrics={"measure": measured})
    tables = camera_tables(changed)
    assert tables.worst is not None
    assert tables.worst.words == "shot and read noise at night"
    assert tables.worst.artifacts == (0.33, 0.77, "onnx-float32")
    text = page(changed)
    assert "worst: <b>shot and read noise at night</b>, 12.3 %" in text
    assert "33 % to 77 %" in text
    assert "--warm: 55%" in text


@pytest.mark.parametrize(
    ("accuracy", "clean", "expected"), [(0.9, 0.9, 0), (0.95, 0.9, 0), (0.775, 0.9, 0.5), (0.1, 0.9, 1), (None, 0.9, 0)]
)
def test_a_cell_is_warmer_the_further_it_falls(accuracy: float | None, clean: float, expected: float) -> None:
    assert heat(accuracy, clean) == pytest.approx(expected)


def test_nothing_measured_says_why(found: ReportInput) -> None:
    assert "What a phone's camera does" in page(NOTHING)
    off = {
        "camera": {},
        "camera_basis": {},
        "integration_errors": {},
        "unmeasured": {"camera": "switched off: by hand"},
    }
    assert "unmeasured</span>: switched off: by hand" in page(replace(found, metrics={"measure": off}))


def test_without_the_selfie_there_are_figures_and_no_pictures(found: ReportInput) -> None:
    text = page(replace(found, selfies=NOTHING.selfies))
    assert "One selfie" not in text
    assert "If the app passes BGR instead of RGB" in text


@pytest.mark.parametrize(
    "broken",
    [
        {"camera": {"jpeg": 3}},
        {"camera": {"jpeg": {"3": None}, "of another time": {"1": {"accuracy": 0.5}}}, "camera_basis": {"severity": 3}},
        {"camera": [], "integration_errors": {"bgr": None, "of another time": {"accuracy": 0.1}}},
        {"camera": {"mirror": {"1": {"accuracy": 0.5, "artifacts": {"onnx-float32": None}}}}},
    ],
)
def test_metrics_of_another_shape_break_nothing(broken: dict[str, Any]) -> None:
    kept = {"artifacts": {}} | broken
    assert "What a phone's camera does" in page(replace(NOTHING, metrics={"measure": kept}))

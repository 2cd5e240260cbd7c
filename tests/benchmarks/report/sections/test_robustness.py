"""Section of the report on robustness: measured figures, warmer where they fall, and what is not measured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks import measure
from benchmarks.evaluation.estimates import Estimate
from benchmarks.evaluation.inference import EvaluationSet, Runtimes
from benchmarks.evaluation.measurement import Measurement
from benchmarks.report import stage as report
from benchmarks.report.inputs import Gallery, ReportInput
from benchmarks.report.sections.robustness import Robustness, heat, robustness
from benchmarks.robustness.distortions import DISTORTIONS, INTEGRATION_ERRORS
from pipeline.config.params import MeasureParams, ReportParams

PARAMS = ReportParams(sample_images=0, worst_images=0)
EMPTY = ReportInput("helmet", "Does the rider wear a helmet?")


@pytest.fixture
def measurement(measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes) -> Measurement:
    camera = measure_params.camera.model_copy(update={"selfies": 12, "artifact_selfies": 6})
    return measure.run(measure_params.model_copy(update={"camera": camera}), evaluation_set, runtimes).measurement


@pytest.fixture
def inputs(measurement: Measurement, evaluation_set: EvaluationSet) -> ReportInput:
    return replace(
        EMPTY, measurement=measurement, selfies={"rendered": Gallery(evaluation_set.selfies, evaluation_set.rows)}
    )


def page(inputs: ReportInput) -> str:
    return report.run(PARAMS, inputs).html.replace("\u00a0", " ")


def estimate(value: float) -> Estimate:
    return Estimate(value=value, low=0.0, high=1.0)


def test_every_distortion_and_integration_error_is_on_the_page_with_a_picture(inputs: ReportInput) -> None:
    text = page(inputs)
    for distortion in DISTORTIONS.values():
        assert f'<td class="name">{distortion.description}</td>' in text
    for error in INTEGRATION_ERRORS.values():
        assert f"If the app {error.description}: <b" in text
    section = robustness(inputs)
    assert len(section.examples) == len(DISTORTIONS)
    assert all(row.uri.startswith("data:image/jpeg;base64,") for row in section.integration_errors)
    assert "One selfie at severity 3" in text
    assert 'title="quality 65: ' in text


def test_the_figures_are_the_measured_ones(inputs: ReportInput, measurement: Measurement) -> None:
    noise = dict(measurement.camera["night_noise"])
    artifacts = {"onnx-float32": 0.33, "tflite-float32": 0.77}
    noise[3] = noise[3].model_copy(
        update={"accuracy": estimate(0.123), "checkpoint_accuracy": 0.5, "artifacts": artifacts}
    )
    assert measurement.camera_basis is not None
    update = {
        "camera": {**measurement.camera, "night_noise": noise},
        "camera_basis": measurement.camera_basis.model_copy(update={"clean_accuracy": estimate(0.9)}),
    }
    changed = replace(inputs, measurement=measurement.model_copy(update=update))
    worst = robustness(changed).worst
    assert worst is not None
    assert worst.title == "shot and read noise at night"
    assert worst.artifacts is not None
    assert (worst.artifacts.lowest, worst.artifacts.highest, worst.artifacts.lowest_name) == (
        0.33,
        0.77,
        "onnx-float32",
    )
    text = page(changed)
    assert "lowest: <b>shot and read noise at night</b>, 12.3 %" in text
    assert "33 % to 77 %" in text
    assert "--warm: 55%" in text


@pytest.mark.parametrize(
    ("accuracy", "clean", "expected"), [(0.9, 0.9, 0), (0.95, 0.9, 0), (0.775, 0.9, 0.5), (0.1, 0.9, 1)]
)
def test_a_cell_is_warmer_the_further_it_falls(accuracy: float, clean: float, expected: float) -> None:
    assert heat(estimate(accuracy), estimate(clean)) == pytest.approx(expected)
    assert heat(None, estimate(clean)) == 0


def test_an_unmeasured_section_gives_the_reason(inputs: ReportInput, measurement: Measurement) -> None:
    assert "Robustness to camera distortions" in page(EMPTY)
    off = {"camera": {}, "camera_basis": None, "integration_errors": {}, "unmeasured": {"camera": "switched off"}}
    unmeasured = replace(inputs, measurement=measurement.model_copy(update=off))
    assert robustness(unmeasured) == Robustness()
    assert "unmeasured</span>: switched off" in page(unmeasured)


def test_without_the_example_selfie_there_are_figures_and_no_pictures(inputs: ReportInput) -> None:
    text = page(replace(inputs, selfies=EMPTY.selfies))
    assert "One selfie" not in text
    assert f"If the app {INTEGRATION_ERRORS['bgr'].description}" in text


def test_artifacts_that_were_not_run_read_unmeasured(inputs: ReportInput, measurement: Measurement) -> None:
    assert measurement.camera_basis is not None
    camera = {
        name: {
            severity: figures.model_copy(
                update={"artifacts": {}, "artifact_selfies": 0, "checkpoint_accuracy": None},
            )
            for severity, figures in levels.items()
        }
        for name, levels in measurement.camera.items()
    }
    section = robustness(replace(inputs, measurement=measurement.model_copy(update={"camera": camera})))
    assert {row.artifacts for row in section.distortions} == {None}
    assert "unmeasured" in page(replace(inputs, measurement=measurement.model_copy(update={"camera": camera})))


def test_distortions_of_an_older_version_are_shown_by_their_name(inputs: ReportInput, measurement: Measurement) -> None:
    camera = {"of another time": measurement.camera["jpeg"]}
    errors = {"of another time too": measurement.integration_errors["bgr"]}
    older = measurement.model_copy(update={"camera": camera, "integration_errors": errors})
    text = page(replace(inputs, measurement=older))
    assert '<td class="name">of another time</td>' in text
    assert "If the app of another time too" in text

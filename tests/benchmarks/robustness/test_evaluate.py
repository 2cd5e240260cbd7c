"""Which model is run under which corruption, equal results however it is run, and reasons for what is missing."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import measure
from benchmarks.evaluation.inference import EvaluationSet, Runtimes
from benchmarks.robustness import evaluate
from benchmarks.robustness.distortions import DISTORTIONS, INTEGRATION_ERRORS, distort
from benchmarks.robustness.metrics import CLEAN, CameraFigures
from pipeline.config.params import MeasureParams, load_params
from pipeline.data.preprocess import fit
from pipeline.data.records import Artifact
from pipeline.data.shards import read_pixels
from pipeline.data.stratified_subset import choose_rows
from pipeline.errors import ModelError, ParamsError
from tests.benchmarks.small_task import SPEC, brightness


@pytest.fixture
def camera_params(measure_params: MeasureParams) -> MeasureParams:
    """Twelve selfies for the checkpoint and six for artifacts, run in this process."""
    update = {"selfies": 12, "artifact_selfies": 6, "severity": 3, "seed": 6}
    return measure_params.model_copy(update={"camera": measure_params.camera.model_copy(update=update)})


def with_camera(params: MeasureParams, **update: int) -> MeasureParams:
    return params.model_copy(update={"camera": params.camera.model_copy(update=update)})


def test_every_distortion_severity_and_integration_error_is_measured(
    camera_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    measurement = measure.run(camera_params, evaluation_set, runtimes).measurement
    assert {name: len(rows) for name, rows in measurement.camera.items()} == {
        name: len(kind.levels) for name, kind in DISTORTIONS.items()
    }
    assert set(measurement.integration_errors) == set(INTEGRATION_ERRORS)
    assert measurement.camera["jpeg"][3].count == 12
    assert measurement.camera_basis is not None
    assert measurement.camera_basis.artifact_selfies == 6
    for row in measurement.artifacts.values():
        assert row.camera_agreement == 1.0
        assert row.camera_accuracy is not None
        assert 0 < row.camera_accuracy.value < 1
        assert row.accuracy is not None
        assert row.accuracy.value == 36 / 40
    assert measurement.checkpoint.camera_accuracy == measurement.artifacts["onnx-float32"].camera_accuracy
    json.dumps(measurement.model_dump(mode="json"), allow_nan=False)


def test_accuracies_equal_those_of_the_distorted_pictures(
    camera_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    result = evaluate.run(camera_params, evaluation_set, runtimes)
    rows = choose_rows(evaluation_set.rows, 12, 6)
    for name, severity in (("under_exposure", 2), ("night_noise", 5), ("full_as_limited", 1)):
        frames = [distort(read_pixels(evaluation_set.selfies, row), name, severity, SPEC, (6, row.id)) for row in rows]
        right = [
            (brightness(frame)[1] >= 0.5) == (row.label == "helmet") for frame, row in zip(frames, rows, strict=True)
        ]
        row = result.integration_errors[name] if name in INTEGRATION_ERRORS else result.camera[name][severity]
        assert row.accuracy.value == pytest.approx(float(np.mean(right)))


def test_a_clean_frame_equals_the_preprocessed_selfie(evaluation_set: EvaluationSet) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (20, 20, 3), np.uint8)
    np.testing.assert_array_equal(evaluate.corrupt(pixels, CLEAN, SPEC, (1, "a")), fit(pixels, SPEC))
    assert evaluation_set.reference.preprocess == SPEC


def test_under_exposure_halves_the_accuracy_of_this_classifier_and_a_mirror_does_no_harm(
    camera_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    result = evaluate.run(camera_params, evaluation_set, runtimes)
    assert result.camera_basis is not None
    clean = result.camera_basis.clean_accuracy.value
    assert result.camera["mirror"][1].accuracy.value == clean
    assert result.camera["under_exposure"][5].accuracy.value == 0.5
    assert result.integration_errors["divided_by_255"].accuracy.value == 0.5


def test_artifacts_run_at_one_severity_and_only_the_first_of_each_format_under_integration_errors(
    camera_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    inferences: Counter[str] = Counter()

    def opened(_path: Path, record: Artifact, _threads: int) -> object:
        def count(frame: np.ndarray) -> np.ndarray:
            inferences[f"{record.format}-{record.recipe}"] += 1
            return brightness(frame)

        return count

    result = evaluate.run(camera_params, evaluation_set, replace(runtimes, open=opened))  # type: ignore[arg-type]
    shown, errors = 1 + len(DISTORTIONS), len(INTEGRATION_ERRORS)
    assert inferences == {
        "coreml-float16": 6 * (shown + errors),
        "onnx-float32": 6 * (shown + errors),
        "tflite-float32": 6 * (shown + errors),
        "tflite-static_wi8_ai8": 6 * shown,
    }
    assert set(result.integration_errors["bgr"].artifacts) == {
        "coreml-float16",
        "onnx-float32",
        "tflite-float32",
    }


def test_a_second_run_gives_equal_results(
    camera_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    assert evaluate.run(camera_params, evaluation_set, runtimes) == evaluate.run(
        camera_params, evaluation_set, runtimes
    )


def dark(frame: np.ndarray) -> np.ndarray:
    return brightness(frame // 2)


def test_an_artifact_that_differs_from_the_checkpoint_has_a_lower_agreement(
    camera_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    darker = replace(runtimes, open=lambda _path, record, _threads: dark if record.format == "onnx" else brightness)
    result = evaluate.run(camera_params, evaluation_set, darker)
    assert result.artifacts["onnx-float32"].camera_agreement < 0.8
    darkened, normal = (result.artifacts[name].camera_accuracy for name in ("onnx-float32", "tflite-float32"))
    assert darkened is not None
    assert normal is not None
    assert darkened.value < normal.value
    row = result.camera["jpeg"][3]
    assert row.checkpoint_accuracy is not None
    assert row.artifacts["onnx-float32"] < row.checkpoint_accuracy


def test_switched_off_everything_is_unmeasured_with_the_reason(
    camera_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    measurement = measure.run(with_camera(camera_params, selfies=0), evaluation_set, runtimes).measurement
    assert (measurement.camera, measurement.integration_errors, measurement.camera_basis) == ({}, {}, None)
    assert measurement.unmeasured["camera"] == "switched off: measure.camera.selfies is 0"
    for row in (measurement.checkpoint, *measurement.artifacts.values()):
        assert {getattr(row, key) for key in CameraFigures.model_fields} == {None}


def test_without_selfies_for_artifacts_only_the_checkpoint_is_measured(
    camera_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    result = evaluate.run(with_camera(camera_params, artifact_selfies=0), evaluation_set, runtimes)
    assert result.camera["jpeg"][3].count == 12
    assert result.camera["jpeg"][3].artifacts == {}
    assert "artifact_selfies is 0" in result.unmeasured["artifacts.onnx-float32.camera_accuracy"]


def test_an_artifact_that_fails_is_unmeasured_and_the_others_are_measured(
    camera_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    def opened(path: Path, record: Artifact, _threads: int) -> object:
        if record.format == "onnx":
            raise ModelError(f"{path}: torn")
        return brightness if record.format == "coreml" else lambda _frame: np.full(2, np.nan, np.float32)

    result = evaluate.run(camera_params, evaluation_set, replace(runtimes, open=opened))  # type: ignore[arg-type]
    assert "torn" in result.unmeasured["artifacts.onnx-float32.camera_accuracy"]
    assert "222 of 222 predictions" in result.unmeasured["artifacts.tflite-float32.camera_accuracy"]
    assert result.artifacts["onnx-float32"].camera_accuracy is None
    assert result.artifacts["coreml-float16"].camera_accuracy is not None
    assert set(result.camera["jpeg"][3].artifacts) == {"coreml-float16"}


def test_a_flawless_checkpoint_has_no_corruption_error_and_the_reason_is_given(
    camera_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    flawless = replace(evaluation_set, rows=evaluation_set.rows[:36])
    result = evaluate.run(camera_params, flawless, runtimes)
    assert result.checkpoint.mean_corruption_error is None
    assert "nothing to divide by" in result.unmeasured["mean_corruption_error"]


def brightness_by_name(_path: Path, _artifact: Artifact, _threads: int) -> object:
    """A module-level function, which pickle can send to a worker."""
    return brightness


def test_worker_processes_give_the_same_results_as_this_process(
    camera_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    result = evaluate.run(
        with_camera(camera_params, selfies=4, artifact_selfies=2).model_copy(update={"workers": 1}),
        evaluation_set,
        replace(runtimes, open=brightness_by_name),  # type: ignore[arg-type]
    )
    here = evaluate.run(with_camera(camera_params, selfies=4, artifact_selfies=2), evaluation_set, runtimes)
    assert result == here


def vanish(_path: Path, _artifact: Artifact, _threads: int) -> object:
    import os

    os._exit(9)


def test_a_worker_process_that_dies_makes_its_artifacts_unmeasured(
    camera_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    params = with_camera(camera_params, selfies=2, artifact_selfies=1).model_copy(update={"workers": 1})
    result = evaluate.run(params, evaluation_set, replace(runtimes, open=vanish))  # type: ignore[arg-type]
    assert "ended without predictions" in result.unmeasured["artifacts.tflite-float32.camera_accuracy"]
    assert result.camera["jpeg"][1].count == 2


def test_a_severity_beyond_five_is_refused(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    text = (root / "params.yaml").read_text(encoding="utf-8")
    path.write_text(text.replace("severity: 3", "severity: 6"), encoding="utf-8")
    with pytest.raises(ParamsError, match=r"measure\.camera\.severity: 6; expected .* 5"):
        load_params(path)

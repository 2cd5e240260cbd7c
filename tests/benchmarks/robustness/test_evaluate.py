"""Measuring under the camera: who is asked what, the same answers however it is run, reasons for what is missing."""

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
from benchmarks.robustness.distortions import DISTORTIONS, MISTAKES, distort
from benchmarks.robustness.metrics import CLEAN, FIGURES
from pipeline.config.params import MeasureParams, load_params
from pipeline.data.preprocess import fit
from pipeline.data.records import Artifact
from pipeline.data.shards import read_pixels
from pipeline.data.stratified_subset import choose_rows
from pipeline.errors import ModelError, ParamsError
from tests.benchmarks.small_task import NAMES, SPEC, brightness


@pytest.fixture
def shaking(measure_params: MeasureParams) -> MeasureParams:
    """Twelve selfies for the checkpoint and six for artifacts, in this process."""
    update = {"selfies": 12, "artifact_selfies": 6, "severity": 3, "seed": 6}
    return measure_params.model_copy(update={"camera": measure_params.camera.model_copy(update=update)})


def with_camera(params: MeasureParams, **update: int) -> MeasureParams:
    return params.model_copy(update={"camera": params.camera.model_copy(update=update)})


def test_every_distortion_severity_and_mistake_is_measured(
    shaking: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    figures = measure.run(shaking, evaluation_set, runtimes).metrics
    assert {name: len(rows) for name, rows in figures["camera"].items()} == {
        name: len(kind.values) for name, kind in DISTORTIONS.items()
    }
    assert set(figures["mistakes"]) == set(MISTAKES)
    assert figures["camera"]["jpeg"]["3"]["count"] == 12
    assert figures["camera_basis"]["artifact_selfies"] == 6
    for name in NAMES:
        assert figures["artifacts"][name]["camera_agreement"] == 1.0
        assert 0 < figures["artifacts"][name]["camera_accuracy"] < 1
        assert figures["artifacts"][name]["accuracy"] == 36 / 40
    assert figures["checkpoint"]["camera_accuracy"] == figures["artifacts"]["onnx-float32"]["camera_accuracy"]
    json.dumps(figures, allow_nan=False)


def test_figures_are_those_of_the_pictures_themselves(
    shaking: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    found = evaluate.run(shaking, evaluation_set, runtimes)
    rows = choose_rows(evaluation_set.rows, 12, 6)
    for name, severity in (("under_exposure", 2), ("night_noise", 5), ("full_as_limited", 1)):
        frames = [distort(read_pixels(evaluation_set.selfies, row), name, severity, SPEC, (6, row.id)) for row in rows]
        right = [
            (brightness(frame)[1] >= 0.5) == (row.label == "helmet") for frame, row in zip(frames, rows, strict=True)
        ]
        section = found.sections["mistakes"] if name in MISTAKES else found.sections["camera"]
        told = section[name] if name in MISTAKES else section[name][str(severity)]
        assert told["accuracy"] == pytest.approx(float(np.mean(right)))


def test_undistorted_is_what_every_other_measurement_sees(evaluation_set: EvaluationSet) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (20, 20, 3), np.uint8)
    np.testing.assert_array_equal(evaluate.see(pixels, CLEAN, SPEC, (1, "a")), fit(pixels, SPEC))
    assert evaluation_set.reference.preprocess == SPEC


def test_darkness_costs_this_classifier_its_helmets_and_a_mirror_nothing(
    shaking: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    found = evaluate.run(shaking, evaluation_set, runtimes)
    clean = found.sections["camera_basis"]["clean_accuracy"]
    assert found.sections["camera"]["mirror"]["1"]["accuracy"] == clean
    assert found.sections["camera"]["under_exposure"]["5"]["accuracy"] == 0.5
    assert found.sections["mistakes"]["divided_by_255"]["accuracy"] == 0.5


def test_artifacts_see_one_severity_and_the_first_of_each_format_the_mistakes(
    shaking: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    asked: Counter[str] = Counter()

    def opened(_path: Path, record: Artifact, _threads: int) -> object:
        def count(frame: np.ndarray) -> np.ndarray:
            asked[f"{record.format}-{record.recipe}"] += 1
            return brightness(frame)

        return count

    found = evaluate.run(shaking, evaluation_set, replace(runtimes, open=opened))  # type: ignore[arg-type]
    shown, wrongs = 1 + len(DISTORTIONS), len(MISTAKES)
    assert asked == {
        "coreml-float16": 6 * (shown + wrongs),
        "onnx-float32": 6 * (shown + wrongs),
        "tflite-float32": 6 * (shown + wrongs),
        "tflite-static_wi8_ai8": 6 * shown,
    }
    assert set(found.sections["mistakes"]["bgr"]["artifacts"]) == {"coreml-float16", "onnx-float32", "tflite-float32"}


def test_a_second_run_finds_the_same(shaking: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes) -> None:
    assert evaluate.run(shaking, evaluation_set, runtimes) == evaluate.run(shaking, evaluation_set, runtimes)


def dark(frame: np.ndarray) -> np.ndarray:
    return brightness(frame // 2)


def test_an_artifact_that_strays_is_told_from_the_checkpoint(
    shaking: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    stray = replace(runtimes, open=lambda _path, record, _threads: dark if record.format == "onnx" else brightness)
    found = evaluate.run(shaking, evaluation_set, stray)
    assert found.artifacts["onnx-float32"]["camera_agreement"] < 0.8
    assert found.artifacts["onnx-float32"]["camera_accuracy"] < found.artifacts["tflite-float32"]["camera_accuracy"]
    row = found.sections["camera"]["jpeg"]["3"]
    assert row["artifacts"]["onnx-float32"] < row["checkpoint_of_same"]


def test_switched_off_it_says_so_and_asks_nobody(
    shaking: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    figures = measure.run(with_camera(shaking, selfies=0), evaluation_set, runtimes).metrics
    assert (figures["camera"], figures["mistakes"]) == ({}, {})
    assert figures["unmeasured"]["camera"] == "switched off: measure.camera.selfies is 0"
    assert {figures["artifacts"][name][key] for name in NAMES for key in FIGURES} == {None}
    assert figures["checkpoint"]["camera_accuracy"] is None


def test_without_selfies_for_artifacts_the_checkpoint_is_measured_alone(
    shaking: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    found = evaluate.run(with_camera(shaking, artifact_selfies=0), evaluation_set, runtimes)
    assert found.sections["camera"]["jpeg"]["3"]["count"] == 12
    assert "artifacts" not in found.sections["camera"]["jpeg"]["3"]
    assert "artifact_selfies is 0" in found.unmeasured["artifacts.onnx-float32.camera_accuracy"]


def test_an_artifact_that_fails_is_unmeasured_and_the_others_go_on(
    shaking: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    def opened(path: Path, record: Artifact, _threads: int) -> object:
        if record.format == "onnx":
            raise ModelError(f"{path}: torn")
        return brightness if record.format == "coreml" else lambda _frame: np.full(2, np.nan, np.float32)

    found = evaluate.run(shaking, evaluation_set, replace(runtimes, open=opened))  # type: ignore[arg-type]
    assert "torn" in found.unmeasured["artifacts.onnx-float32.camera_accuracy"]
    assert "222 of 222 answers" in found.unmeasured["artifacts.tflite-float32.camera_accuracy"]
    assert found.artifacts["onnx-float32"]["camera_accuracy"] is None
    assert found.artifacts["coreml-float16"]["camera_accuracy"] is not None
    assert set(found.sections["camera"]["jpeg"]["3"]["artifacts"]) == {"coreml-float16"}


def test_a_flawless_checkpoint_has_no_corruption_error_and_says_why(
    shaking: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    flawless = replace(evaluation_set, rows=evaluation_set.rows[:36])
    found = evaluate.run(shaking, flawless, runtimes)
    assert found.checkpoint["mean_corruption_error"] is None
    assert "nothing to divide by" in found.unmeasured["mean_corruption_error"]


def brightness_by_name(_path: Path, _artifact: Artifact, _threads: int) -> object:
    """In a worker an artifact is opened by a function that pickle can name."""
    return brightness


def test_processes_of_their_own_find_what_this_one_finds(
    shaking: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    found = evaluate.run(
        with_camera(shaking, selfies=4, artifact_selfies=2).model_copy(update={"workers": 1}),
        evaluation_set,
        replace(runtimes, open=brightness_by_name),  # type: ignore[arg-type]
    )
    here = evaluate.run(with_camera(shaking, selfies=4, artifact_selfies=2), evaluation_set, runtimes)
    assert found == here


def vanish(_path: Path, _artifact: Artifact, _threads: int) -> object:
    import os

    os._exit(9)


def test_a_process_that_vanishes_is_a_reason_and_no_crash(
    shaking: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    params = with_camera(shaking, selfies=2, artifact_selfies=1).model_copy(update={"workers": 1})
    found = evaluate.run(params, evaluation_set, replace(runtimes, open=vanish))  # type: ignore[arg-type]
    assert "ended without an answer" in found.unmeasured["artifacts.tflite-float32.camera_accuracy"]
    assert found.sections["camera"]["jpeg"]["1"]["count"] == 2


def test_a_severity_beyond_five_is_refused(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    text = (root / "params.yaml").read_text(encoding="utf-8")
    path.write_text(text.replace("severity: 3", "severity: 6"), encoding="utf-8")
    with pytest.raises(ParamsError, match=r"measure\.camera\.severity: 6; expected .* 5"):
        load_params(path)

"""Figures of the lab equal those computed by hand, and measuring works without a lab."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import measure
from benchmarks.arm64 import evaluate
from benchmarks.arm64.evaluate import LabRequest, choose_selfies, compare_with_host, run_in_lab
from benchmarks.evaluation.inference import EvaluationSet, Runtimes
from benchmarks.evaluation.measurement import Arm64Figures, ArmLab
from pipeline.config.params import Arm64Params, MeasureParams
from pipeline.errors import ModelError, ParamsError
from tests.benchmarks.small_task import artifact, brightness

TARGETS = np.array([0, 1, 0, 1])


@dataclass
class FakeLab:
    """Runs the brightness classifier with shifted probabilities; cannot run the artifacts in ``broken``."""

    broken: tuple[str, ...] = ()
    shift: float = 0.0
    id: str = "fake"
    cpus: tuple[str, ...] = ("cortex-a76", "cortex-a53")
    emulated: bool = True
    calls: list[str] = field(default_factory=list)

    def instructions(self, path: Path, format_name: str, frame: NDArray[np.uint8], cpu: str) -> int:
        self.calls.append(f"{format_name} {cpu} {frame.shape}")
        if path.name in self.broken:
            raise ModelError(f"{path}: no such op on {cpu}")
        return {"cortex-a76": 1000, "cortex-a53": 1600, "native": 900}[cpu]

    def predict(self, path: Path, format_name: str, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.calls.append(f"{format_name} {frames.shape}")
        if path.name in self.broken:
            raise ModelError(f"{path}: no such op")
        return np.stack([brightness(frame) for frame in frames]) + np.float32([-self.shift, self.shift])


def request(name: str = "onnx-float32", host: NDArray[np.float32] | None = None) -> LabRequest:
    frames = np.zeros((4, 8, 6, 3), np.uint8)
    return LabRequest(Path(name), artifact(*name.split("-")), frames, TARGETS, host)


def test_decisions_are_compared_selfie_by_selfie() -> None:
    host = np.array([[0.9, 0.1], [0.45, 0.55], [0.4, 0.6], [0.2, 0.8]], np.float32)
    arm = np.array([[0.9, 0.1], [0.55, 0.45], [0.6, 0.4], [0.2, 0.8]], np.float32)
    figures = compare_with_host(request(host=host), arm, 0.95)
    assert figures.arm64_accuracy is not None
    assert figures.arm64_accuracy.value == 0.75
    assert figures.arm64_host_accuracy == 0.75
    assert figures.arm64_agreement == 0.5
    assert figures.arm64_max_abs_probability_diff == pytest.approx(0.2)
    assert 0.25 < figures.arm64_accuracy.low < 0.75 < figures.arm64_accuracy.high < 1


def test_identical_probabilities_differ_by_zero() -> None:
    host = np.array([[0.9, 0.1], [0.3, 0.7], [0.6, 0.4], [0.2, 0.8]], np.float32)
    assert compare_with_host(request(host=host), host.copy(), 0.95).arm64_max_abs_probability_diff == 0.0


def test_every_supported_artifact_is_counted_on_every_processor() -> None:
    lab, host = FakeLab(shift=0.25), np.full((4, 2), 0.5, np.float32)
    requests = [request("tflite-float32", host), request("coreml-float16"), request(host=host)]
    result = run_in_lab(lab, requests, 0.95)
    assert list(result.figures) == ["tflite-float32", "coreml-float16", "onnx-float32"]
    row = result.figures["onnx-float32"]
    assert (row.arm64_instructions, row.arm64_instructions_a53) == (1000, 1600)
    assert None not in row.model_dump().values()
    assert result.figures["coreml-float16"] == Arm64Figures()
    assert result.unmeasured == {"artifacts.coreml-float16.arm64": "the ARM lab runs onnx and tflite only"}
    assert result.lab == ArmLab(id="fake", emulated=True, cpus=("cortex-a76", "cortex-a53"), selfies=4)
    assert not [line for line in lab.calls if "coreml" in line]


def test_an_artifact_the_lab_cannot_run_is_unmeasured_with_the_reason() -> None:
    result = run_in_lab(FakeLab(broken=("onnx-float32",)), [request(), request("tflite-float32")], 0.95)
    assert result.figures["onnx-float32"] == Arm64Figures()
    assert result.unmeasured["artifacts.onnx-float32.arm64_instructions"] == "onnx-float32: no such op on cortex-a76"
    assert result.unmeasured["artifacts.onnx-float32.arm64_accuracy"] == "onnx-float32: no such op"
    assert result.figures["tflite-float32"].arm64_instructions == 1000


def test_probabilities_that_are_not_numbers_are_unmeasured() -> None:
    result = run_in_lab(FakeLab(shift=float("nan")), [request()], 0.95)
    assert result.figures["onnx-float32"].arm64_accuracy is None
    assert result.unmeasured["artifacts.onnx-float32.arm64_accuracy"] == "not all answers are numbers"


def test_on_an_arm_machine_there_is_no_other_architecture_to_compare_with() -> None:
    result = run_in_lab(FakeLab(cpus=("native",), emulated=False), [request()], 0.95)
    row = result.figures["onnx-float32"]
    assert (row.arm64_instructions, row.arm64_instructions_a53) == (900, None)
    assert row.arm64_accuracy is not None
    assert row.arm64_accuracy.value == 0.5
    assert row.arm64_agreement is None
    assert "no answers of another architecture" in result.unmeasured["artifacts.onnx-float32.arm64_agreement"]


def test_selfies_are_drawn_from_the_seed_regardless_of_their_order() -> None:
    chosen = choose_selfies(2000, 200, 4)
    assert len(set(chosen.tolist())) == 200
    assert (
        chosen.tolist()
        == sorted(chosen)
        == choose_selfies(2000, 200, 4).tolist()
        != choose_selfies(2000, 200, 5).tolist()
    )
    assert 60 < int(np.sum(chosen % 2)) < 140, "labels alternate: every tenth selfie would have one label"
    assert choose_selfies(30, 200, 4).tolist() == list(range(30))


def test_without_a_lab_the_reason_names_the_setup_command(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes, tmp_path: Path
) -> None:
    params = measure_params.model_copy(update={"arm64": Arm64Params(folder=tmp_path / "lab")})
    measurement = measure.run(params, evaluation_set, runtimes).measurement
    assert f"run python -m benchmarks.arm64.setup {tmp_path}/lab" in measurement.unmeasured["arm64"]
    assert measurement.arm64 is None
    assert {getattr(measurement.artifacts["tflite-float32"], name) for name in Arm64Figures.model_fields} == {None}


def test_a_missing_lab_is_an_error_where_it_is_required(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes, tmp_path: Path
) -> None:
    required = Arm64Params(use="required", folder=tmp_path / "lab")
    with pytest.raises(ParamsError, match=r"measure\.arm64\.use: required; .*no ARM lab"):
        measure.run(measure_params.model_copy(update={"arm64": required}), evaluation_set, runtimes)


def test_measure_reports_the_labs_figures_beside_its_own(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = FakeLab(shift=0.125)
    monkeypatch.setattr(evaluate, "open_lab", lambda _folder: lab)
    params = measure_params.model_copy(update={"arm64": Arm64Params(selfies=10)})
    measurement = measure.run(params, evaluation_set, runtimes).measurement
    row = measurement.artifacts["tflite-static_wi8_ai8"]
    assert row.accuracy is not None
    assert row.accuracy.value == 36 / 40
    assert (row.arm64_instructions, row.arm64_instructions_a53) == (1000, 1600)
    assert row.arm64_max_abs_probability_diff == pytest.approx(0.125)
    assert measurement.arm64 is not None
    assert measurement.arm64.selfies == 10
    assert "tflite (10, 8, 6, 3)" in lab.calls
    assert measurement.artifacts["coreml-float16"].arm64_accuracy is None
    assert "artifacts.coreml-float16.arm64" in measurement.unmeasured


def test_the_lab_can_be_switched_off(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "open_lab", lambda _folder: pytest.fail("opened"))
    never = measure_params.model_copy(update={"arm64": Arm64Params(use="never")})
    assert measure.run(never, evaluation_set, runtimes).measurement.unmeasured["arm64"].endswith("use: never")

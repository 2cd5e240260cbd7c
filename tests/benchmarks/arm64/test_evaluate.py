"""Figures of the lab against ones worked out by hand, and how a measurement goes on without it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import measure
from benchmarks.arm64 import evaluate as room
from benchmarks.arm64.evaluate import FIGURES, Question, choose, compare, examine
from benchmarks.evaluation.inference import EvaluationSet, Runtimes
from pipeline.config.params import Arm64Params, MeasureParams
from pipeline.errors import ModelError, ParamsError
from tests.benchmarks.small_task import artifact, brightness

TARGETS = np.array([0, 1, 0, 1])


@dataclass
class PaperLab:
    """Answers as the hand-made classifier does, a little lighter; cannot run what is in ``broken``."""

    broken: tuple[str, ...] = ()
    shift: float = 0.0
    id: str = "paper"
    cpus: tuple[str, ...] = ("cortex-a76", "cortex-a53")
    emulated: bool = True
    asked: list[str] = field(default_factory=list)

    def instructions(self, path: Path, format_name: str, frame: NDArray[np.uint8], cpu: str) -> int:
        self.asked.append(f"{format_name} {cpu} {frame.shape}")
        if path.name in self.broken:
            raise ModelError(f"{path}: no such op on {cpu}")
        return {"cortex-a76": 1000, "cortex-a53": 1600, "native": 900}[cpu]

    def answers(self, path: Path, format_name: str, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.asked.append(f"{format_name} {frames.shape}")
        if path.name in self.broken:
            raise ModelError(f"{path}: no such op")
        return np.stack([brightness(frame) for frame in frames]) + np.float32([-self.shift, self.shift])


def question(name: str = "onnx-float32", here: NDArray[np.float32] | None = None) -> Question:
    frames = np.zeros((4, 8, 6, 3), np.uint8)
    return Question(Path(name), artifact(*name.split("-")), frames, TARGETS, here)


def test_decisions_are_compared_one_by_one() -> None:
    here = np.array([[0.9, 0.1], [0.45, 0.55], [0.4, 0.6], [0.2, 0.8]], np.float32)
    arm = np.array([[0.9, 0.1], [0.55, 0.45], [0.6, 0.4], [0.2, 0.8]], np.float32)
    figures = compare(question(here=here), arm, 0.95)
    assert figures["arm64_accuracy"] == 0.75
    assert figures["arm64_accuracy_here"] == 0.75
    assert figures["arm64_agreement"] == 0.5
    assert figures["arm64_max_abs_probability_diff"] == pytest.approx(0.2)
    assert 0.25 < figures["arm64_accuracy_low"] < 0.75 < figures["arm64_accuracy_high"] < 1


def test_equal_bits_differ_by_zero() -> None:
    here = np.array([[0.9, 0.1], [0.3, 0.7], [0.6, 0.4], [0.2, 0.8]], np.float32)
    assert compare(question(here=here), here.copy(), 0.95)["arm64_max_abs_probability_diff"] == 0.0


def test_every_artifact_is_counted_on_every_processor() -> None:
    lab, here = PaperLab(shift=0.25), np.full((4, 2), 0.5, np.float32)
    found = examine(lab, [question("tflite-float32", here), question("coreml-float16"), question(here=here)], 0.95)
    assert list(found.figures) == ["tflite-float32", "coreml-float16", "onnx-float32"]
    row = found.figures["onnx-float32"]
    assert (row["arm64_instructions"], row["arm64_instructions_a53"]) == (1000, 1600)
    assert set(row) == set(FIGURES)
    assert None not in row.values()
    assert set(found.figures["coreml-float16"].values()) == {None}
    assert found.unmeasured == {"artifacts.coreml-float16.arm64": "the ARM lab runs tflite and onnx only"}
    assert found.lab == {"id": "paper", "emulated": True, "cpus": ["cortex-a76", "cortex-a53"], "selfies": 4}
    assert not [line for line in lab.asked if "coreml" in line]


def test_an_artifact_the_lab_cannot_run_is_left_to_its_reason() -> None:
    found = examine(PaperLab(broken=("onnx-float32",)), [question(), question("tflite-float32")], 0.95)
    assert set(found.figures["onnx-float32"].values()) == {None}
    assert found.unmeasured["artifacts.onnx-float32.arm64_instructions"] == "onnx-float32: no such op on cortex-a76"
    assert found.unmeasured["artifacts.onnx-float32.arm64_accuracy"] == "onnx-float32: no such op"
    assert found.figures["tflite-float32"]["arm64_instructions"] == 1000


def test_answers_that_are_no_numbers_are_unmeasured() -> None:
    found = examine(PaperLab(shift=float("nan")), [question()], 0.95)
    assert found.figures["onnx-float32"]["arm64_accuracy"] is None
    assert found.unmeasured["artifacts.onnx-float32.arm64_accuracy"] == "not all answers are numbers"


def test_an_arm_machine_has_nothing_to_be_compared_with() -> None:
    found = examine(PaperLab(cpus=("native",), emulated=False), [question()], 0.95)
    row = found.figures["onnx-float32"]
    assert (row["arm64_instructions"], row["arm64_instructions_a53"]) == (900, None)
    assert row["arm64_accuracy"] == 0.5
    assert row["arm64_agreement"] is None
    assert "no answers of another architecture" in found.unmeasured["artifacts.onnx-float32.arm64_agreement"]


def test_selfies_are_chosen_by_the_seed_and_never_by_their_order() -> None:
    chosen = choose(2000, 200, 4)
    assert len(set(chosen.tolist())) == 200
    assert chosen.tolist() == sorted(chosen) == choose(2000, 200, 4).tolist() != choose(2000, 200, 5).tolist()
    assert 60 < int(np.sum(chosen % 2)) < 140, "labels alternate: every tenth would be one label"
    assert choose(30, 200, 4).tolist() == list(range(30))


def test_measure_says_how_the_lab_is_set_up_where_there_is_none(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes, tmp_path: Path
) -> None:
    params = measure_params.model_copy(update={"arm64": Arm64Params(folder=tmp_path / "lab")})
    figures = measure.run(params, evaluation_set, runtimes).metrics
    assert f"set up by: python -m benchmarks.arm64.setup {tmp_path}/lab" in figures["unmeasured"]["arm64"]
    assert figures["arm64"] == {}
    assert {figures["artifacts"]["tflite-float32"][name] for name in FIGURES} == {None}


def test_a_lab_that_is_required_must_be_there(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes, tmp_path: Path
) -> None:
    required = Arm64Params(use="required", folder=tmp_path / "lab")
    with pytest.raises(ParamsError, match=r"measure\.arm64\.use: required; .*no ARM lab"):
        measure.run(measure_params.model_copy(update={"arm64": required}), evaluation_set, runtimes)


def test_measure_takes_the_labs_figures_beside_its_own(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = PaperLab(shift=0.125)
    monkeypatch.setattr(room, "open_lab", lambda _folder: lab)
    params = measure_params.model_copy(update={"arm64": Arm64Params(selfies=10)})
    figures = measure.run(params, evaluation_set, runtimes).metrics
    row = figures["artifacts"]["tflite-static_wi8_ai8"]
    assert row["accuracy"] == 36 / 40
    assert (row["arm64_instructions"], row["arm64_instructions_a53"]) == (1000, 1600)
    assert row["arm64_max_abs_probability_diff"] == pytest.approx(0.125)
    assert figures["arm64"]["selfies"] == 10
    assert "tflite (10, 8, 6, 3)" in lab.asked
    assert figures["artifacts"]["coreml-float16"]["arm64_accuracy"] is None
    assert "artifacts.coreml-float16.arm64" in figures["unmeasured"]


def test_the_lab_can_be_switched_off(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "open_lab", lambda _folder: pytest.fail("opened"))
    never = measure_params.model_copy(update={"arm64": Arm64Params(use="never")})
    assert measure.run(never, evaluation_set, runtimes).metrics["unmeasured"]["arm64"].endswith("use: never")

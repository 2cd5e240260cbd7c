"""Accuracy under a camera's distortions: of so few selfies an interval decides, or nobody does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.evaluation.predictions import Predictions
from benchmarks.gate import stage as gate
from benchmarks.gate.checks.check_results import CAMERA
from benchmarks.gate.checks.robustness import NAMES
from pipeline.config.params import GateParams
from pipeline.data.records import Verdict
from tests.benchmarks.gate.verdicts import INT8, as_baseline, check, measured

Table = Callable[..., Predictions]


def camera(accuracy: float, half: float | None = 0.05) -> dict[str, float | None]:
    ends = (None, None) if half is None else (accuracy - half, accuracy + half)
    return dict(zip(NAMES, (accuracy, *ends), strict=True))


def judged(params: GateParams, table: Table, new: dict[str, Any], old: dict[str, Any]) -> Verdict:
    figures, baseline = measured(table()), as_baseline(table())
    figures["artifacts"][INT8].update(new)
    baseline.measured["artifacts"][INT8].update(old)
    return gate.run(params, figures, table(), baseline)


@pytest.mark.parametrize(
    ("accuracy", "half", "verdict"),
    [(0.90, 0.05, "pass"), (0.82, 0.05, "unmeasured"), (0.70, 0.05, "fail"), (0.90, None, "unmeasured")],
)
def test_the_floor_holds_where_there_is_one(
    gate_params: GateParams, table: Table, accuracy: float, half: float | None, verdict: str
) -> None:
    figures = measured(table())
    figures["artifacts"][INT8].update(camera(accuracy, half))
    floor = gate_params.model_copy(update={"min_camera_accuracy": 0.8})
    found = gate.run(floor, figures, table(), None)
    assert check(found, "camera_accuracy").verdict == verdict
    assert found.verdict == ("fail" if verdict == "fail" else "unmeasured"), "the others have no figure"
    assert "camera_accuracy" not in {each.name for each in gate.run(gate_params, figures, table(), None).checks}


def test_a_fall_that_chance_cannot_explain_fails(gate_params: GateParams, table: Table) -> None:
    verdict = judged(gate_params, table, camera(0.70), camera(0.90))
    assert (verdict.verdict, check(verdict, CAMERA).verdict) == ("fail", "fail")


def test_a_fall_within_the_noise_is_told_and_stops_nothing(gate_params: GateParams, table: Table) -> None:
    verdict = judged(gate_params, table, camera(0.85), camera(0.88))
    found = check(verdict, CAMERA)
    assert (verdict.verdict, found.verdict, found.value) == ("pass", "unmeasured", pytest.approx(-0.03))
    assert "measure.camera.artifact_selfies times" in found.reason


def test_many_selfies_clear_what_few_cannot(gate_params: GateParams, table: Table) -> None:
    assert check(judged(gate_params, table, camera(0.88, 0.005), camera(0.88, 0.005)), CAMERA).verdict == "pass"
    assert check(judged(gate_params, table, camera(0.84, 0.005), camera(0.88, 0.005)), CAMERA).verdict == "fail"


def test_the_same_file_has_not_fallen_and_a_missing_figure_is_no_pass(gate_params: GateParams, table: Table) -> None:
    same = {**camera(0.88), "sha256": "a" * 64}
    assert check(judged(gate_params, table, same, same), CAMERA).verdict == "pass"
    for new in ({}, camera(0.88, None), {NAMES[0]: float("nan")}):
        verdict = judged(gate_params, table, new, camera(0.88))
        assert (verdict.verdict, check(verdict, NAMES[0]).verdict) == ("unmeasured", "unmeasured")
    assert CAMERA not in {each.name for each in judged(gate_params, table, camera(0.88), {}).checks}

"""Accuracy under a camera's distortions: its interval decides, and what few selfies cannot decide blocks no release."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.evaluation.estimates import Estimate
from benchmarks.evaluation.predictions import Predictions
from benchmarks.gate.checks.check_results import CAMERA, CAMERA_ACCURACY
from pipeline.config.params import GateParams
from pipeline.data.records import Verdict
from tests.benchmarks.evaluation.measurements import changed, measurement_of
from tests.benchmarks.gate.verdicts import INT8, baseline_of, check, judge

Table = Callable[..., Predictions]


def camera(accuracy: float, half: float = 0.05) -> Estimate:
    return Estimate(value=accuracy, low=accuracy - half, high=accuracy + half)


def judged(
    params: GateParams, table: Table, new: Estimate | None, old: Estimate | None, sha256: tuple[str, str] = ("a", "b")
) -> Verdict:
    """Judge equal predictions with these figures of one artifact."""
    before, now = (
        changed(measurement_of(table()), INT8, camera_accuracy=accuracy, sha256=digest)
        for accuracy, digest in zip((old, new), sha256, strict=True)
    )
    return judge(params, now, table(), baseline_of(before, table()))


@pytest.mark.parametrize(
    ("accuracy", "half", "verdict"),
    [(0.90, 0.05, "pass"), (0.82, 0.05, "unmeasured"), (0.70, 0.05, "fail"), (None, 0.05, "unmeasured")],
)
def test_a_floor_is_checked_where_params_set_one(
    gate_params: GateParams, table: Table, accuracy: float | None, half: float, verdict: str
) -> None:
    estimate = None if accuracy is None else camera(accuracy, half)
    measurement = changed(measurement_of(table()), INT8, camera_accuracy=estimate)
    floor = gate_params.model_copy(update={"min_camera_accuracy": 0.8})
    result = judge(floor, measurement, table(), None)
    assert check(result, "camera_accuracy").verdict == verdict
    assert result.verdict == ("fail" if verdict == "fail" else "unmeasured"), "the others have no figure"
    assert "camera_accuracy" not in {row.name for row in judge(gate_params, measurement, table(), None).checks}


def test_a_fall_that_chance_cannot_explain_fails(gate_params: GateParams, table: Table) -> None:
    verdict = judged(gate_params, table, camera(0.70), camera(0.90))
    assert (verdict.verdict, check(verdict, CAMERA).verdict) == ("fail", "fail")


def test_a_fall_within_the_noise_is_reported_and_blocks_no_release(gate_params: GateParams, table: Table) -> None:
    verdict = judged(gate_params, table, camera(0.85), camera(0.88))
    result = check(verdict, CAMERA)
    assert (verdict.verdict, result.verdict, result.value) == ("pass", "unmeasured", pytest.approx(-0.03))
    assert "times measure.camera.artifact_selfies would decide" in result.reason


def test_many_selfies_decide_what_few_cannot(gate_params: GateParams, table: Table) -> None:
    assert check(judged(gate_params, table, camera(0.88, 0.005), camera(0.88, 0.005)), CAMERA).verdict == "pass"
    assert check(judged(gate_params, table, camera(0.84, 0.005), camera(0.88, 0.005)), CAMERA).verdict == "fail"


def test_an_identical_file_passes_and_a_missing_figure_does_not(gate_params: GateParams, table: Table) -> None:
    same = judged(gate_params, table, camera(0.88), camera(0.88), ("a", "a"))
    assert check(same, CAMERA).verdict == "pass"
    verdict = judged(gate_params, table, None, camera(0.88))
    assert (verdict.verdict, check(verdict, CAMERA_ACCURACY).verdict) == ("unmeasured", "unmeasured")
    assert CAMERA not in {row.name for row in judged(gate_params, table, camera(0.88), None).checks}

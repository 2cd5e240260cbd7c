"""Artifacts that are the baseline's file pass every comparison with it; nothing else does without evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.evaluation.estimates import Estimate
from benchmarks.evaluation.predictions import Predictions
from benchmarks.gate.baseline import Baseline
from benchmarks.gate.checks.check_results import (
    ALL_ARTIFACTS,
    BASELINE_COMPARABLE,
    CAMERA_ACCURACY,
    IDENTICAL,
    LATENCY,
    MEMORY,
    UNDERSIZED_SLICES,
)
from benchmarks.gate.checks.resource_growth import closed_bench
from pipeline.config.params import GateParams
from tests.benchmarks.evaluation.measurements import changed, measurement_of
from tests.benchmarks.gate.verdicts import INT8, as_baseline, baseline_of, check, factored, judge, missing

Table = Callable[..., Predictions]


def camera(accuracy: float) -> Estimate:
    return Estimate(value=accuracy, low=accuracy - 0.05, high=accuracy + 0.05)


def same_files(table: Predictions) -> Baseline:
    """An accepted baseline with these predictions; equal predictions come from equal files."""
    return baseline_of(measurement_of(table), table)


@pytest.mark.parametrize("count", [40, 400])
def test_identical_files_pass_every_comparison_however_few_selfies_there_are(
    gate_params: GateParams, table: Table, count: int
) -> None:
    few = factored(table(count), light=lambda row: "night" if row < 15 else "day")
    measurement = measurement_of(few)
    for name in measurement.artifacts:
        measurement = changed(measurement, name, arm64_instructions=1000, camera_accuracy=camera(0.9))
    baseline = baseline_of(measurement, few)
    now = measurement
    for name in now.artifacts:  # a machine without the ARM lab, and without distorted selfies
        now = changed(now, name, arm64_instructions=None, camera_accuracy=None)
    verdict = judge(gate_params, now, few, baseline, closed_bench("nothing is measured here"))
    alone = {row.name for row in judge(gate_params, now, few, None).checks}
    compared = [row for row in verdict.checks if row.name not in alone]
    assert {row.name for row in compared} >= {
        "accuracy_vs_baseline",
        "agreement_vs_baseline",
        "fnr_vs_baseline",
        "fpr_vs_baseline",
        "size_growth",
        "instruction_growth",
        CAMERA_ACCURACY,
        UNDERSIZED_SLICES,
        MEMORY,
        LATENCY,
    }
    assert {row.verdict for row in compared} == {"pass"}
    assert {row.reason for row in compared} == {IDENTICAL}


def test_a_file_that_decides_otherwise_on_another_machine_by_chance_is_still_identical(
    gate_params: GateParams, table: Table
) -> None:
    """Vector instructions differ between processors, and a decision next to the threshold may turn."""
    before, now = table(400), missing(table(400), [100, 101, 102])
    measurement = changed(measurement_of(now), INT8, sha256=measurement_of(before).artifacts[INT8].sha256)
    result = check(judge(gate_params, measurement, now, same_files(before)), "accuracy_vs_baseline")
    assert (result.verdict, result.reason) == ("pass", IDENTICAL)
    other = check(judge(gate_params, measurement, now, as_baseline(before)), "accuracy_vs_baseline")
    assert other.verdict == "unmeasured"


def test_the_same_file_fails_where_a_fall_is_proven(gate_params: GateParams, table: Table) -> None:
    """The file is the same, but a runtime or the decoding of pictures is not."""
    now = missing(table(), range(100, 200))
    measurement = changed(measurement_of(now), INT8, sha256=measurement_of(table()).artifacts[INT8].sha256)
    result = check(judge(gate_params, measurement, now, same_files(table())), "accuracy_vs_baseline")
    assert result.verdict == "fail"
    assert result.reason.startswith(
        "the file is the baseline's, so what runs it or prepares its pictures has changed: accuracy fell by 5 points"
    )


def test_the_same_file_with_another_threshold_is_not_identical(gate_params: GateParams, table: Table) -> None:
    few = table(400)
    strict = replace(few, thresholds={**few.thresholds, INT8: 0.95})
    measurement = changed(measurement_of(strict), INT8, sha256=measurement_of(few).artifacts[INT8].sha256)
    result = check(judge(gate_params, measurement, strict, same_files(few)), "fnr_vs_baseline")
    assert (result.verdict, result.reason == IDENTICAL) == ("fail", False)


def test_identical_files_need_no_common_selfies(gate_params: GateParams, table: Table) -> None:
    other = table(400, prefix="other")
    now, before = measurement_of(other), same_files(table(400))
    verdict = judge(gate_params, now, other, before)
    comparable = check(verdict, BASELINE_COMPARABLE, ALL_ARTIFACTS)
    assert comparable.verdict == "pass"
    assert "every artifact is the baseline's file" in comparable.reason
    one_differs = judge(gate_params, changed(now, INT8, sha256="new"), other, before)
    assert check(one_differs, BASELINE_COMPARABLE, ALL_ARTIFACTS).verdict == "unmeasured"


def test_an_identical_file_without_usable_predictions_is_unmeasured(gate_params: GateParams, table: Table) -> None:
    broken = table(400)
    broken.probabilities[INT8][7] = np.nan
    measurement = changed(measurement_of(broken), INT8, sha256=measurement_of(table(400)).artifacts[INT8].sha256)
    verdict = judge(gate_params, measurement, broken, same_files(table(400)))
    for name in ("accuracy_vs_baseline", "agreement_vs_baseline", "fnr_vs_baseline", "slices"):
        assert check(verdict, name, ALL_ARTIFACTS if name == "slices" else INT8).verdict == "unmeasured"

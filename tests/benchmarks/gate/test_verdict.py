"""The verdict: what passes, what fails, and what stays unmeasured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from benchmarks.gate.checks.check_results import (
    ADVISORY,
    ALL_ARTIFACTS,
    BASELINE_COMPARABLE,
)
from pipeline.config.params import GateParams
from pipeline.errors import DataError
from tests.benchmarks.evaluation.measurements import changed, measurement_of, without
from tests.benchmarks.gate.verdicts import INT8, as_baseline, baseline_of, check, judge

Table = Callable[..., Predictions]


def test_another_file_with_the_same_decisions_passes(gate_params: GateParams, table: Table) -> None:
    verdict = judge(gate_params, measurement_of(table()), table(), as_baseline(table()))
    assert verdict.verdict == "pass"
    assert {row.verdict for row in verdict.checks if row.name not in ADVISORY} == {"pass"}
    assert check(verdict, "accuracy_vs_baseline").value == 0.0
    assert "2000 selfies" in verdict.baseline


def test_rows_in_another_order_are_paired_by_id(gate_params: GateParams, table: Table) -> None:
    ordered = table()
    backwards = Predictions(
        ordered.ids[::-1],
        ordered.sha256[::-1],
        ordered.targets[::-1],
        ordered.labels,
        ordered.thresholds,
        {name: values[::-1] for name, values in ordered.probabilities.items()},
    )
    verdict = judge(gate_params, measurement_of(ordered), ordered, as_baseline(backwards))
    assert verdict.verdict == "pass"
    assert check(verdict, "accuracy_vs_baseline").reason.startswith(
        "accuracy is unchanged: 0 of 2,000 selfies became wrong, 0 became right; "
    )


def test_a_large_drop_of_accuracy_fails(gate_params: GateParams, table: Table) -> None:
    worse = table(wrong={INT8: 100})  # 5 % wrong, where the baseline has 2 %
    verdict = judge(gate_params, measurement_of(worse), worse, as_baseline(table()))
    assert verdict.verdict == "fail"
    result = check(verdict, "accuracy_vs_baseline")
    assert (result.verdict, result.value) == ("fail", pytest.approx(-0.03))
    assert result.reason == (
        "accuracy fell by 3 points: 60 of 2,000 selfies became wrong, 0 became right; gate.non_inferiority_margin "
        "allows a fall of 1 point; its errors: report/index.html#misclassified "
        "(interval -3.63 to -2.36 points, McNemar mid-p 8.67e-19)"
    )
    assert check(verdict, "accuracy_vs_baseline", "onnx-float32").verdict == "pass"


def test_a_gain_passes(gate_params: GateParams, table: Table) -> None:
    better = table(wrong={INT8: 10})
    assert check(
        judge(gate_params, measurement_of(better), better, as_baseline(table())), "accuracy_vs_baseline"
    ).value == (pytest.approx(0.015))


def test_a_small_drop_on_few_selfies_is_unmeasured(gate_params: GateParams, table: Table) -> None:
    few, worse = table(200), table(200, wrong={INT8: 5})
    result = check(judge(gate_params, measurement_of(worse), worse, as_baseline(few)), "accuracy_vs_baseline")
    assert result.verdict == "unmeasured"
    assert "needs about 3,188 more selfies" in result.reason


def test_a_drop_equal_to_the_margin_is_never_decided(gate_params: GateParams, table: Table) -> None:
    worse = table(wrong={INT8: 60})
    result = check(judge(gate_params, measurement_of(worse), worse, as_baseline(table())), "accuracy_vs_baseline")
    assert result.verdict == "unmeasured"
    assert "no number of selfies would decide" in result.reason


def test_less_agreement_than_the_baseline_fails(gate_params: GateParams, table: Table) -> None:
    # the artifact keeps its accuracy while the checkpoint moves away from it
    moved = table(wrong={CHECKPOINT: 0, INT8: 40})
    result = check(judge(gate_params, measurement_of(moved), moved, as_baseline(table())), "agreement_vs_baseline")
    assert (result.verdict, result.value) == ("fail", pytest.approx(-0.02))


def test_a_grown_artifact_fails(gate_params: GateParams, table: Table) -> None:
    verdict = judge(gate_params, measurement_of(table(), 1_030_000), table(), as_baseline(table()))
    assert check(verdict, "size_growth").verdict == "fail"
    assert check(verdict, "size_growth").value == pytest.approx(0.03)
    assert check(verdict, "size_bytes").verdict == "pass"


def test_without_a_baseline_absolute_limits_alone_decide(gate_params: GateParams, table: Table) -> None:
    verdict = judge(gate_params, measurement_of(table()), table(), None)
    assert verdict.verdict == "pass"
    assert "absolute limits only" in verdict.baseline
    assert {row.name for row in verdict.checks} == {
        "required",
        "accuracy",
        "share_of_checkpoint",
        "agreement",
        "size_bytes",
    }


def test_accuracy_below_the_floor_fails(gate_params: GateParams, table: Table) -> None:
    poor = table(wrong={INT8: 400})
    verdict = judge(gate_params, measurement_of(poor), poor, None)
    assert verdict.verdict == "fail"
    assert check(verdict, "accuracy").value == 0.8
    assert check(verdict, "agreement").verdict == "fail"


def test_an_interval_around_the_floor_names_how_many_selfies_are_missing(gate_params: GateParams, table: Table) -> None:
    few = table(100, wrong={INT8: 6, CHECKPOINT: 6})
    verdict = judge(gate_params, measurement_of(few), few, None)
    assert check(verdict, "agreement").verdict == "pass"
    assert check(verdict, "accuracy").verdict == "unmeasured"
    more = int(check(verdict, "accuracy").reason.split("about ")[1].split()[0].replace(",", ""))
    assert 300 < more < 600  # ``gate.power`` is above one half, at which fewer would do
    enough = table(100 + more, wrong={INT8: round(0.06 * (100 + more))})
    assert check(judge(gate_params, measurement_of(enough), enough, None), "accuracy").verdict == "pass"


def test_an_artifact_that_is_too_large_fails(gate_params: GateParams, table: Table) -> None:
    verdict = judge(gate_params, measurement_of(table(), gate_params.max_size_bytes + 1), table(), None)
    assert verdict.verdict == "fail"


def test_predictions_on_other_selfies_are_not_comparable(gate_params: GateParams, table: Table) -> None:
    verdict = judge(gate_params, measurement_of(table()), table(), as_baseline(table(prefix="other")))
    assert verdict.verdict == "unmeasured"
    assert "other selfies: 0 of 2000" in check(verdict, BASELINE_COMPARABLE, ALL_ARTIFACTS).reason


def test_selfies_with_the_same_id_and_other_bytes_are_different_selfies(gate_params: GateParams, table: Table) -> None:
    redrawn = replace(table(), sha256=("f" * 64, *table().sha256[1:]))
    verdict = judge(gate_params, measurement_of(table()), table(), as_baseline(redrawn))
    assert verdict.verdict == "unmeasured"
    assert "1999 of 2000" in check(verdict, BASELINE_COMPARABLE, ALL_ARTIFACTS).reason


def test_predictions_of_another_task_are_not_comparable(gate_params: GateParams, table: Table) -> None:
    masks = replace(table(), labels=("no_mask", "mask"))
    verdict = judge(gate_params, measurement_of(table()), table(), as_baseline(masks))
    assert verdict.verdict == "unmeasured"
    assert "another task" in check(verdict, BASELINE_COMPARABLE, ALL_ARTIFACTS).reason


@pytest.mark.parametrize(
    ("name", "figures"), [("accuracy", {"accuracy": None, "fnr": None}), ("agreement", {"agreement": None})]
)
def test_a_missing_figure_is_unmeasured(
    gate_params: GateParams, table: Table, name: str, figures: dict[str, None]
) -> None:
    measurement = changed(measurement_of(table()), INT8, **figures)
    verdict = judge(gate_params, measurement, table(), None)
    assert verdict.verdict == "unmeasured"
    result = check(verdict, name)
    assert result.value is None
    assert result.reason == "no figure: metrics/measure.json has none; run dvc repro measure"


def test_a_missing_figure_has_the_reason_of_the_measurement(gate_params: GateParams, table: Table) -> None:
    reasons = {f"artifacts.{INT8}.accuracy": "it could not be loaded"}
    measurement = changed(measurement_of(table()), INT8, accuracy=None).model_copy(update={"unmeasured": reasons})
    result = check(judge(gate_params, measurement, table(), None), "accuracy")
    assert result.reason == "no figure: it could not be loaded"


def test_an_artifact_with_an_answer_that_is_not_finite_cannot_pass(gate_params: GateParams, table: Table) -> None:
    broken = table()
    broken.probabilities[INT8][7] = np.nan
    measurement = measurement_of(broken)
    assert measurement.artifacts[INT8].accuracy is None
    verdict = judge(gate_params, measurement, broken, as_baseline(table()))
    assert verdict.verdict == "unmeasured"
    assert check(verdict, "accuracy_vs_baseline").value is None
    assert check(verdict, "agreement_vs_baseline").value is None


def test_a_required_format_that_is_missing_is_unmeasured(gate_params: GateParams, table: Table) -> None:
    verdict = judge(gate_params, without(measurement_of(table()), "coreml-float16"), table(), None)
    assert verdict.verdict == "unmeasured"
    assert check(verdict, "required", "coreml").verdict == "unmeasured"


def test_an_artifact_that_only_the_baseline_has_is_unmeasured(gate_params: GateParams, table: Table) -> None:
    verdict = judge(gate_params, without(measurement_of(table()), INT8), table(), as_baseline(table()))
    assert verdict.verdict == "unmeasured"
    assert check(verdict, BASELINE_COMPARABLE).verdict == "unmeasured"


def test_a_new_artifact_is_named_and_held_to_absolute_limits_only(gate_params: GateParams, table: Table) -> None:
    baseline = baseline_of(without(measurement_of(table()), INT8), table())
    verdict = judge(gate_params, measurement_of(table()), table(), baseline)
    assert verdict.verdict == "pass"
    assert f"absolute limits only: {INT8}" in verdict.baseline


def test_a_verdict_without_any_check_is_unmeasured(gate_params: GateParams, table: Table) -> None:
    nothing = gate_params.model_copy(update={"required": ()})
    bare = replace(table(), probabilities={CHECKPOINT: table().probabilities[CHECKPOINT]})
    assert judge(nothing, measurement_of(bare), bare, None).verdict == "unmeasured"


def test_a_failed_check_outweighs_an_unmeasured_one(gate_params: GateParams, table: Table) -> None:
    large = without(measurement_of(table(), gate_params.max_size_bytes + 1), "coreml-float16")
    assert judge(gate_params, large, table(), None).verdict == "fail"


def test_a_measurement_of_other_predictions_is_refused(gate_params: GateParams, table: Table) -> None:
    measurement, other = measurement_of(table()), table(wrong={INT8: 100})
    with pytest.raises(DataError, match=r"made of other predictions than those given"):
        judge(gate_params, measurement, other, None)
    of_an_earlier_version = measurement.model_copy(update={"inputs": None})
    with pytest.raises(DataError, match=r"artifacts\..*accuracy: 0\.980000, but the predictions give 0\.9"):
        judge(gate_params, of_an_earlier_version, other, None)

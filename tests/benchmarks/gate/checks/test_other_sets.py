"""Limits of a test set beside the headline must hold, and what it cannot decide about the baseline is advisory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.evaluation.measurement import Measurement
from benchmarks.evaluation.predictions import Predictions, join_predictions
from benchmarks.gate.baseline import Baseline
from benchmarks.gate.checks.check_results import is_advisory
from benchmarks.gate.verdict import decide_verdict
from benchmarks.gate.verdict_text import describe_verdict
from pipeline.config.params import GateParams, SetLimits
from pipeline.data.records import Check, Verdict
from pipeline.errors import DataError
from tests.benchmarks.evaluation.measurements import changed, measurement_of
from tests.benchmarks.gate.verdicts import EQUAL_RESOURCES, baseline_of
from tests.benchmarks.small_task import NAMES

Table = Callable[..., Predictions]


def on_sets(headline: Predictions, street: Predictions) -> tuple[Measurement, Predictions]:
    """A measurement of two test sets, rendered and street, and its predictions."""
    street = replace(street, sets=("street",) * len(street.ids))
    joined, top, own = join_predictions([headline, street]), measurement_of(headline), measurement_of(street)
    assert top.inputs is not None
    selfies = own.selfies.model_copy(update={"name": "street", "source": "photos"})
    return top.model_copy(
        update={
            "sets": {"rendered": top, "street": own.model_copy(update={"selfies": selfies})},
            "inputs": top.inputs.model_copy(update={"predictions": joined.content_hash()}),
        }
    ), joined


def with_limits(params: GateParams, **limits: float) -> GateParams:
    return params.model_copy(update={"sets": {"street": SetLimits(**limits)}})


def accepted(run: tuple[Measurement, Predictions]) -> Baseline:
    """A baseline of this run, whose files are not the candidate's."""
    measurement, predictions = run
    for name in measurement.artifacts:
        measurement = changed(measurement, name, sha256="0" * 64)
    return baseline_of(measurement, predictions)


def judge(params: GateParams, run: tuple[Measurement, Predictions], baseline: Baseline | None = None) -> Verdict:
    return decide_verdict(params, *run, baseline, EQUAL_RESOURCES)


def on_street(verdict: Verdict, name: str) -> list[Check]:
    return [check for check in verdict.checks if (check.test_set, check.name) == ("street", name)]


def test_without_limits_of_its_own_a_set_is_no_part_of_the_verdict(gate_params: GateParams, table: Table) -> None:
    wrong = dict.fromkeys(("checkpoint", *NAMES), 300)
    verdict = judge(gate_params, on_sets(table(), table(400, wrong, "street")))
    assert (verdict.verdict, verdict.headline) == ("pass", "rendered")
    assert not [check for check in verdict.checks if check.test_set]


@pytest.mark.parametrize(("wrong", "expected"), [(20, "pass"), (300, "fail"), (42, "unmeasured")])
def test_a_limit_of_a_set_decides_the_verdict(gate_params: GateParams, table: Table, wrong: int, expected: str) -> None:
    street = table(400, dict.fromkeys(("checkpoint", *NAMES), wrong), "street")
    verdict = judge(with_limits(gate_params, min_accuracy=0.88), on_sets(table(), street))
    checks = on_street(verdict, "accuracy")
    assert [check.artifact for check in checks] == list(NAMES)
    assert {check.verdict for check in checks} == {expected}
    assert "gate.sets.street.min_accuracy requires 88 %" in checks[0].reason
    assert verdict.verdict == expected
    assert (expected == "pass") == ("accuracy (on street)" not in describe_verdict(verdict))
    next_step = {"fail": "its errors: report/index.html#set-street", "unmeasured": "add photographs to its folder"}
    assert next_step.get(expected, "") in checks[0].reason


def biased(table: Predictions, wrong: int) -> Predictions:
    """The table with 360 positive selfies of 400, the last ``wrong`` of the others decided wrongly by every model."""
    targets = np.array([1] * 360 + [0] * 40)
    decided = np.where(np.arange(400) >= 400 - wrong, 1, targets)
    values = np.where(decided == 1, 0.9, 0.2)
    rows = np.stack([1 - values, values], axis=1).astype(np.float32)
    return replace(table, targets=targets, probabilities=dict.fromkeys(table.probabilities, rows))


@pytest.mark.parametrize(("wrong", "expected"), [(0, "pass"), (30, "fail"), (9, "unmeasured")])
def test_balanced_accuracy_shows_what_accuracy_hides_where_one_label_is_rare(
    gate_params: GateParams, table: Table, wrong: int, expected: str
) -> None:
    limits = with_limits(gate_params, min_balanced_accuracy=0.85, min_accuracy=0.85)
    verdict = judge(limits, on_sets(table(), biased(table(400, prefix="street"), wrong)))
    check = on_street(verdict, "balanced_accuracy")[0]
    assert (check.verdict, check.value) == (expected, pytest.approx(1 - wrong / 80))
    assert "gate.sets.street.min_balanced_accuracy requires 85 %" in check.reason
    assert {each.verdict for each in on_street(verdict, "accuracy")} == {"pass"}


def test_agreement_and_share_of_the_checkpoint_have_limits_too(gate_params: GateParams, table: Table) -> None:
    limits = with_limits(gate_params, min_agreement=0.999, min_share_of_checkpoint=0.5)
    verdict = judge(limits, on_sets(table(), table(400, {NAMES[0]: 40, "checkpoint": 8}, "street")))
    assert next(check.verdict for check in on_street(verdict, "agreement")) == "fail"
    assert {check.verdict for check in on_street(verdict, "share_of_checkpoint")} == {"pass"}


def test_a_limit_on_a_set_that_was_not_measured_is_unmeasured(gate_params: GateParams, table: Table) -> None:
    measurement = measurement_of(table())
    verdict = judge(with_limits(gate_params, min_accuracy=0.5), (measurement, table()))
    (check,) = on_street(verdict, "set_measured")
    assert (check.verdict, verdict.verdict, is_advisory(check)) == ("unmeasured", "unmeasured", False)


def test_a_fall_on_photographs_fails_though_the_headline_is_as_good(gate_params: GateParams, table: Table) -> None:
    before = on_sets(table(), table(400, None, "street"))
    after = on_sets(table(), table(400, {NAMES[0]: 120}, "street"))
    verdict = judge(gate_params, after, accepted(before))
    assert [check.artifact for check in on_street(verdict, "accuracy_vs_baseline") if check.verdict == "fail"] == [
        NAMES[0]
    ]
    assert verdict.verdict == "fail"


def test_a_set_that_is_too_small_to_compare_blocks_no_release(gate_params: GateParams, table: Table) -> None:
    before = on_sets(table(), table(30, None, "street"))
    after = on_sets(table(), table(30, dict.fromkeys(("checkpoint", *NAMES), 2), "street"))
    verdict = judge(gate_params, after, accepted(before))
    undecided = [check for check in verdict.checks if check.test_set and check.verdict == "unmeasured"]
    assert undecided
    assert all(map(is_advisory, undecided))
    assert not [check for check in verdict.checks if check.test_set and check.verdict == "fail"]


@pytest.mark.parametrize("has_it", ["the baseline", "this run"])
def test_a_set_that_only_one_side_has_is_named(gate_params: GateParams, table: Table, has_it: str) -> None:
    alone, both = (measurement_of(table()), table()), on_sets(table(), table(30, None, "street"))
    old, new = (both, alone) if has_it == "the baseline" else (alone, both)
    (check,) = on_street(judge(gate_params, new, accepted(old)), "baseline_comparable")
    who = "this run" if has_it == "the baseline" else "the baseline"
    assert check.reason == f"{who} was not measured on this test set"
    assert is_advisory(check)


def test_a_baseline_whose_verdict_stood_on_another_set_is_not_comparable(gate_params: GateParams, table: Table) -> None:
    measurement, predictions = on_sets(table(), table(400, None, "street"))
    street = measurement.sets["street"]
    moved = measurement.model_copy(update={name: getattr(street, name) for name in type(street).model_fields})
    verdict = judge(gate_params, (measurement, predictions), accepted((moved, predictions)))
    (check,) = (check for check in verdict.checks if check.name == "baseline_comparable" and not check.test_set)
    assert "stands on the test set rendered, the baseline's on street" in check.reason


def test_predictions_of_a_set_that_do_not_give_its_accuracy_are_refused(gate_params: GateParams, table: Table) -> None:
    measurement, predictions = on_sets(table(), table(400, None, "street"))
    swapped = measurement.sets["street"].model_copy(
        update={"artifacts": measurement_of(table(400, dict.fromkeys(NAMES, 200), "street")).artifacts}
    )
    wrong = measurement.model_copy(update={"sets": {**measurement.sets, "street": swapped}})
    with pytest.raises(DataError, match=r"sets\.street\.artifacts\..*\.accuracy"):
        judge(gate_params, (wrong, predictions))


def test_rows_of_one_set_are_selected_by_its_name(table: Table) -> None:
    _, joined = on_sets(table(40), table(30, None, "street"))
    assert joined.set_names == ("rendered", "street")
    street = joined.of_set("street")
    assert len(street.ids) == 30
    np.testing.assert_array_equal(street.targets, np.arange(30) % 2)
    assert joined.of_set("none").ids == ()

"""Slices: a mean must hide nobody, a rare trait must not stop every release."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.evaluation.predictions import Predictions
from benchmarks.gate import stage as gate
from benchmarks.gate.checks.check_results import ALL_ARTIFACTS, NO_SLICES, UNDERSIZED_SLICES
from benchmarks.gate.checks.slices import find_slices
from pipeline.config.params import GateParams
from pipeline.data.records import Verdict
from pipeline.errors import ReleaseRefusedError
from tests.benchmarks.evaluation.measurements import measurement_of
from tests.benchmarks.gate.verdicts import INT8, as_baseline, check, factored, judge, missing

Table = Callable[..., Predictions]
NIGHT = range(600)  # of 2,000
RARE = range(600, 720)


def light(row: int) -> str:
    return "night" if row in NIGHT else "dusk" if row in RARE else "day"


@pytest.fixture
def old(table: Table) -> Predictions:
    return factored(table(wrong={INT8: 0}), light=light)


def judged(params: GateParams, new: Predictions, old: Predictions) -> Verdict:
    return judge(params, measurement_of(new), new, as_baseline(old))


def test_a_large_slice_that_fell_fails_by_name(gate_params: GateParams, old: Predictions) -> None:
    found = check(judged(gate_params, missing(old, NIGHT[:30]), old), "slices_vs_baseline")
    assert (found.verdict, found.value) == ("fail", pytest.approx(-30 / 600))
    assert "light=night: 30 lost, 0 gained of 600" in found.reason
    assert "light=day" not in found.reason


def test_a_fall_within_the_margin_passes_where_a_harmful_one_is_ruled_out(
    gate_params: GateParams, old: Predictions
) -> None:
    verdict = judged(gate_params, missing(old, NIGHT[:8]), old)
    found = check(verdict, "slices_vs_baseline")
    assert (found.verdict, found.value) == ("pass", pytest.approx(-8 / 600))
    assert found.reason.startswith("2 slices; light=night: 8 lost")
    assert check(verdict, "slices_vs_baseline", "onnx-float32").verdict == "pass"


def test_a_slice_that_may_have_fallen_too_far_is_not_decided(gate_params: GateParams, old: Predictions) -> None:
    before = missing(old, NIGHT[100:155])
    found = check(judged(gate_params, missing(old, NIGHT[:70]), before), "slices_vs_baseline")
    assert found.verdict == "unmeasured"
    assert "1 may have fallen by 0.05 or more; needs about" in found.reason
    assert found.reason.endswith("more selfies of light=night")


def test_a_small_slice_is_convicted_of_a_disaster(gate_params: GateParams, old: Predictions) -> None:
    verdict = judged(gate_params, missing(old, RARE[:20]), old)
    found = check(verdict, UNDERSIZED_SLICES)
    assert (verdict.verdict, found.verdict, found.value) == ("fail", "fail", pytest.approx(-20 / 120))
    assert "light=dusk" in found.reason


def test_a_small_slice_that_is_merely_small_is_told_once_and_stops_no_release(
    gate_params: GateParams, old: Predictions
) -> None:
    verdict = judged(gate_params, old, old)
    assert verdict.verdict == "pass"
    found = [each for each in verdict.checks if each.name == UNDERSIZED_SLICES]
    assert [(each.artifact, each.verdict) for each in found] == [(ALL_ARTIFACTS, "unmeasured")]
    assert "1 slices of fewer than 500 selfies" in found[0].reason
    assert "needs about 6,334 more selfies" in found[0].reason  # 2,000 x 500 / 120, less those there are
    gate.refuse_unless_pass(verdict)


def test_a_small_slice_that_failed_refuses_a_release(gate_params: GateParams, old: Predictions) -> None:
    with pytest.raises(ReleaseRefusedError, match=f"{UNDERSIZED_SLICES}: fail: light=dusk"):
        gate.refuse_unless_pass(judged(gate_params, missing(old, RARE[:20]), old))


def test_photographs_without_factors_can_pass_and_the_gap_is_told(gate_params: GateParams, table: Table) -> None:
    verdict = judge(gate_params, measurement_of(table()), table(), as_baseline(table()))
    assert verdict.verdict == "pass"
    assert check(verdict, NO_SLICES, ALL_ARTIFACTS).verdict == "unmeasured"


def test_answers_that_are_no_numbers_leave_their_slices_unmeasured(gate_params: GateParams, old: Predictions) -> None:
    broken = missing(old, [])
    broken.probabilities[INT8][5] = np.nan
    verdict = judged(gate_params, broken, old)
    assert check(verdict, "slices_vs_baseline").verdict == "unmeasured"
    assert check(verdict, "slices_vs_baseline", "onnx-float32").verdict == "pass"


def test_slices_of_a_candidate_are_known_though_an_old_baseline_has_no_factors(
    gate_params: GateParams, old: Predictions, table: Table
) -> None:
    bare = table(wrong={INT8: 0})
    found = check(judged(gate_params, missing(old, NIGHT[:30]), bare), "slices_vs_baseline")
    assert found.verdict == "fail"


def test_slices_are_values_and_named_pairs_but_never_everything() -> None:
    rows = [{"skin": "a", "light": "day", "held": "none"}, {"skin": "b", "light": "day", "held": "none"}, {"skin": "a"}]
    found = {
        name: list(map(int, each)) for name, each in find_slices(rows, [("skin", "light"), ("no", "such")]).items()
    }
    assert found == {
        "held=none": [0, 1],
        "light=day": [0, 1],
        "skin=a": [0, 2],
        "skin=a light=day": [0],
        "skin=b": [1],
        "skin=b light=day": [1],
    }


def test_a_fall_that_one_slice_in_many_shows_by_chance_is_not_called_one(gate_params: GateParams, table: Table) -> None:
    many = {f"f{bit}": lambda row, bit=bit: "ab"[row * 2654435761 >> (bit + 8) & 1] for bit in range(12)}
    verdicts = []
    for factors in ({}, many):
        old = missing(factored(table(wrong={INT8: 0}), light=light, **factors), NIGHT[100:105])
        new = missing(factored(table(wrong={INT8: 0}), light=light, **factors), NIGHT[:20])
        verdicts.append(check(judged(gate_params, new, old), "slices_vs_baseline"))
    alone, among = verdicts
    assert alone.value == among.value == pytest.approx(-15 / 600)
    assert alone.verdict == "fail"
    assert among.verdict != "fail"


def test_equal_answers_of_many_slices_raise_no_alarm(gate_params: GateParams, table: Table) -> None:
    random = np.random.default_rng(4)
    alarms = 0
    for _ in range(40):
        names = random.integers(0, 30, 2000)
        old = factored(table(wrong={INT8: 0}), place=lambda row, names=names: f"p{names[row]}", light=light)
        lost, gained = random.choice(2000, (2, 20), replace=False)
        verdict = judged(gate_params, missing(old, list(lost)), missing(old, list(gained)))
        alarms += any(each.verdict == "fail" for each in verdict.checks if "slices" in each.name)
    assert alarms <= 2

"""Slices: a mean must not hide a slice that fell, and a rare trait must not block every release."""

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
    result = check(judged(gate_params, missing(old, NIGHT[:30]), old), "slices_vs_baseline")
    assert (result.verdict, result.value) == ("fail", pytest.approx(-30 / 600))
    assert result.reason.startswith(
        "light=night fell by 5 points, 30 of 600 selfies became wrong, 0 became right; gate.slice_margin allows a fall "
        "of 2 points; add training images of it: prompts.top_up, or photographs (Holm p "
    )
    assert "light=day" not in result.reason


def test_a_fall_within_the_margin_passes_where_a_harmful_one_is_ruled_out(
    gate_params: GateParams, old: Predictions
) -> None:
    verdict = judged(gate_params, missing(old, NIGHT[:8]), old)
    result = check(verdict, "slices_vs_baseline")
    assert (result.verdict, result.value) == ("pass", pytest.approx(-8 / 600))
    assert result.reason.startswith("none of 2 slices fell by 5 points or more; light=night fell by 1.33 points, 8 of")
    assert check(verdict, "slices_vs_baseline", "onnx-float32").verdict == "pass"


def test_a_slice_that_may_have_fallen_too_far_is_not_decided(gate_params: GateParams, old: Predictions) -> None:
    before = missing(old, NIGHT[100:155])
    result = check(judged(gate_params, missing(old, NIGHT[:70]), before), "slices_vs_baseline")
    assert result.verdict == "unmeasured"
    assert "1 of 2 slices may have fallen by 5 points or more (gate.max_slice_fall), e.g. light=night" in result.reason
    assert "more selfies of light=night: raise selfies.count" in result.reason


def test_a_small_slice_with_a_large_fall_fails(gate_params: GateParams, old: Predictions) -> None:
    verdict = judged(gate_params, missing(old, RARE[:20]), old)
    result = check(verdict, UNDERSIZED_SLICES)
    assert (verdict.verdict, result.verdict, result.value) == ("fail", "fail", pytest.approx(-20 / 120))
    assert "light=dusk" in result.reason


def test_small_slices_that_did_not_fail_are_one_check_that_blocks_no_release(
    gate_params: GateParams, old: Predictions
) -> None:
    verdict = judged(gate_params, old, old)
    assert verdict.verdict == "pass"
    small = [row for row in verdict.checks if row.name == UNDERSIZED_SLICES]
    assert [(row.artifact, row.verdict) for row in small] == [(ALL_ARTIFACTS, "unmeasured")]
    assert small[0].reason.startswith("1 slice has fewer than 500 selfies")
    assert "about 6,334 more selfies" in small[0].reason  # 2,000 x 500 / 120, less those there are
    gate.refuse_unless_pass(verdict)


def test_a_small_slice_that_failed_refuses_a_release(gate_params: GateParams, old: Predictions) -> None:
    with pytest.raises(ReleaseRefusedError, match=f"fail: {UNDERSIZED_SLICES}: {INT8}: light=dusk fell by 16.7 points"):
        gate.refuse_unless_pass(judged(gate_params, missing(old, RARE[:20]), old))


def test_photographs_without_factors_can_pass_and_the_missing_slices_are_reported(
    gate_params: GateParams, table: Table
) -> None:
    verdict = judge(gate_params, measurement_of(table()), table(), as_baseline(table()))
    assert verdict.verdict == "pass"
    assert check(verdict, NO_SLICES, ALL_ARTIFACTS).verdict == "unmeasured"


def test_predictions_that_are_not_finite_leave_the_slices_unmeasured(gate_params: GateParams, old: Predictions) -> None:
    broken = missing(old, [])
    broken.probabilities[INT8][5] = np.nan
    verdict = judged(gate_params, broken, old)
    assert check(verdict, "slices_vs_baseline").verdict == "unmeasured"
    assert check(verdict, "slices_vs_baseline", "onnx-float32").verdict == "pass"


def test_slices_are_those_of_the_candidate_where_the_baseline_has_no_factors(
    gate_params: GateParams, old: Predictions, table: Table
) -> None:
    bare = table(wrong={INT8: 0})
    result = check(judged(gate_params, missing(old, NIGHT[:30]), bare), "slices_vs_baseline")
    assert result.verdict == "fail"


def test_slices_are_values_and_pairs_of_values_and_never_all_selfies() -> None:
    rows = [{"skin": "a", "light": "day", "held": "none"}, {"skin": "b", "light": "day", "held": "none"}, {"skin": "a"}]
    result = {
        name: list(map(int, indices))
        for name, indices in find_slices(rows, [("skin", "light"), ("no", "such")]).items()
    }
    assert result == {
        "held=none": [0, 1],
        "light=day": [0, 1],
        "skin=a": [0, 2],
        "skin=a light=day": [0],
        "skin=b": [1],
        "skin=b light=day": [1],
    }


def test_a_fall_that_chance_explains_among_many_slices_does_not_fail(gate_params: GateParams, table: Table) -> None:
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


def test_equally_good_models_rarely_fail_on_any_of_many_slices(gate_params: GateParams, table: Table) -> None:
    random = np.random.default_rng(4)
    alarms = 0
    for _ in range(40):
        names = random.integers(0, 30, 2000)
        old = factored(table(wrong={INT8: 0}), place=lambda row, names=names: f"p{names[row]}", light=light)
        lost, gained = random.choice(2000, (2, 20), replace=False)
        verdict = judged(gate_params, missing(old, list(lost)), missing(old, list(gained)))
        alarms += any(row.verdict == "fail" for row in verdict.checks if "slices" in row.name)
    assert alarms <= 2

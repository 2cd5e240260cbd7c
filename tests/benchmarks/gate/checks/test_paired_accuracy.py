"""Error rates are compared with the baseline's by their ratio, and by the rise where errors are too few for a ratio."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.evaluation.predictions import Predictions
from pipeline.config.params import GateParams
from pipeline.data.records import Check
from tests.benchmarks.evaluation.measurements import measurement_of
from tests.benchmarks.gate.verdicts import INT8, as_baseline, check, judge, missing

Table = Callable[..., Predictions]
POSITIVES, NEGATIVES = range(1, 4000, 2), range(0, 4000, 2)


def judged(params: GateParams, new: Predictions, old: Predictions, name: str) -> Check:
    return check(judge(params, measurement_of(new), new, as_baseline(old)), name)


def test_more_false_negatives_fail_though_accuracy_holds(gate_params: GateParams, table: Table) -> None:
    old = missing(table(4000, wrong={INT8: 0}), [*POSITIVES[:60], *NEGATIVES[:60]])
    new = missing(table(4000, wrong={INT8: 0}), [*POSITIVES[:95], *NEGATIVES[:25]])
    result = judged(gate_params, new, old, "fnr_vs_baseline")
    assert (result.verdict, result.value) == ("fail", pytest.approx(95 / 60))
    assert result.reason.startswith(
        "95 of 2,000 selfies with helmet are not recognised, with the baseline 60; gate.max_error_ratio allows 1.1 "
        "times as many; its errors: report/index.html#misclassified (interval of the ratio "
    )
    assert judged(gate_params, new, old, "fpr_vs_baseline").verdict == "pass"
    assert judged(gate_params, new, old, "accuracy_vs_baseline").verdict == "pass"


def test_equally_many_errors_on_other_selfies_are_undecided_and_the_reason_gives_the_number_of_selfies(
    gate_params: GateParams, table: Table
) -> None:
    old = missing(table(4000, wrong={INT8: 0}), POSITIVES[:60])
    new = missing(table(4000, wrong={INT8: 0}), POSITIVES[30:90])
    result = judged(gate_params, new, old, "fnr_vs_baseline")
    assert (result.verdict, result.value) == ("unmeasured", 1.0)
    more = int(result.reason.split("needs about ")[1].split()[0].replace(",", ""))
    assert 10_000 < more < 80_000


def test_no_errors_in_either_pass_on_many_selfies_and_not_on_few(gate_params: GateParams, table: Table) -> None:
    perfect, few = table(4000, wrong={INT8: 0}), table(400, wrong={INT8: 0})
    result = judged(gate_params, perfect, perfect, "fnr_vs_baseline")
    assert (result.verdict, result.value) == ("pass", None)
    result = judged(gate_params, few, few, "fnr_vs_baseline")
    assert result.verdict == "unmeasured"
    assert "more selfies" in result.reason


def test_errors_where_the_baseline_had_none_fail(gate_params: GateParams, table: Table) -> None:
    perfect = table(4000, wrong={INT8: 0})
    result = judged(gate_params, missing(perfect, POSITIVES[:20]), perfect, "fnr_vs_baseline")
    assert (result.verdict, result.value) == ("fail", None)


def test_selfies_of_one_label_only_leave_the_other_s_rate_unmeasured(gate_params: GateParams, table: Table) -> None:
    rows = list(range(0, 2000, 2))
    whole = table()
    one = Predictions(
        tuple(whole.ids[row] for row in rows),
        tuple(whole.sha256[row] for row in rows),
        whole.targets[rows],
        whole.labels,
        whole.thresholds,
        {name: values[rows] for name, values in whole.probabilities.items()},
    )
    result = judged(gate_params, one, one, "fnr_vs_baseline")
    assert (result.verdict, result.value) == ("unmeasured", None)
    assert result.reason == "there is no selfie with helmet, so such errors cannot be counted; add some"
    assert judged(gate_params, one, one, "fpr_vs_baseline").verdict == "pass"


def test_the_number_of_selfies_that_an_undecided_check_gives_decides_it(gate_params: GateParams, table: Table) -> None:
    old, new = table(400, wrong={INT8: 4}), table(400, wrong={INT8: 6})
    result = judged(gate_params, new, old, "accuracy_vs_baseline")
    assert result.verdict == "unmeasured"
    total = 400 + int(result.reason.split("needs about ")[1].split()[0].replace(",", ""))
    old, new = (table(total, wrong={INT8: total * count // 400}) for count in (4, 6))
    assert judged(gate_params, new, old, "accuracy_vs_baseline").verdict == "pass"

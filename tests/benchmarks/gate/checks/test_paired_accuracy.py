"""Error rates beside the baseline's: by their ratio, and where errors are too few for one, by the rise itself."""

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
    found = judged(gate_params, new, old, "fnr_vs_baseline")
    assert (found.verdict, found.value) == ("fail", pytest.approx(95 / 60))
    assert found.reason.startswith("95 errors of 2000, the baseline 60")
    assert judged(gate_params, new, old, "fpr_vs_baseline").verdict == "pass"
    assert judged(gate_params, new, old, "accuracy_vs_baseline").verdict == "pass"


def test_as_many_errors_elsewhere_are_not_decided_and_how_many_selfies_would_is_said(
    gate_params: GateParams, table: Table
) -> None:
    old = missing(table(4000, wrong={INT8: 0}), POSITIVES[:60])
    new = missing(table(4000, wrong={INT8: 0}), POSITIVES[30:90])
    found = judged(gate_params, new, old, "fnr_vs_baseline")
    assert (found.verdict, found.value) == ("unmeasured", 1.0)
    more = int(found.reason.split("needs about ")[1].split()[0].replace(",", ""))
    assert 10_000 < more < 80_000


def test_no_error_in_either_passes_among_many_and_not_among_few(gate_params: GateParams, table: Table) -> None:
    perfect, few = table(4000, wrong={INT8: 0}), table(400, wrong={INT8: 0})
    found = judged(gate_params, perfect, perfect, "fnr_vs_baseline")
    assert (found.verdict, found.value) == ("pass", None)
    found = judged(gate_params, few, few, "fnr_vs_baseline")
    assert found.verdict == "unmeasured"
    assert "more selfies" in found.reason


def test_errors_where_the_baseline_had_none_fail(gate_params: GateParams, table: Table) -> None:
    perfect = table(4000, wrong={INT8: 0})
    found = judged(gate_params, missing(perfect, POSITIVES[:20]), perfect, "fnr_vs_baseline")
    assert (found.verdict, found.value) == ("fail", None)


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
    found = judged(gate_params, one, one, "fnr_vs_baseline")
    assert (found.verdict, found.value) == ("unmeasured", None)
    assert judged(gate_params, one, one, "fpr_vs_baseline").verdict == "pass"


def test_an_undecided_fall_is_decided_by_as_many_selfies_as_it_asks_for(gate_params: GateParams, table: Table) -> None:
    old, new = table(400, wrong={INT8: 4}), table(400, wrong={INT8: 6})
    found = judged(gate_params, new, old, "accuracy_vs_baseline")
    assert found.verdict == "unmeasured"
    total = 400 + int(found.reason.split("needs about ")[1].split()[0].replace(",", ""))
    old, new = (table(total, wrong={INT8: total * each // 400}) for each in (4, 6))
    assert judged(gate_params, new, old, "accuracy_vs_baseline").verdict == "pass"

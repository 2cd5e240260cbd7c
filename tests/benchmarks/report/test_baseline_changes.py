"""What changed since the baseline: on the same selfies, with noise called noise, and nothing made up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.evaluation.accuracy import rate
from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from benchmarks.gate.baseline import Accepted, Baseline
from benchmarks.report.baseline_changes import Delta, DeltaRow, deltas
from pipeline.data.records import Check
from pipeline.metrics.statistics import paired_difference_interval
from tests.benchmarks.small_task import NAMES

Table = Callable[..., Predictions]
NAME = "tflite-float32"


def measure_json(table: Predictions, sizes: dict[str, int] | None = None) -> dict[str, Any]:
    artifacts = {
        name: {**rate(table, name, 0.95), "size_bytes": (sizes or {}).get(name, 10**6), "latency_p50_ms": 2.0}
        for name in NAMES
    }
    return {"confidence": 0.95, "checkpoint": rate(table, CHECKPOINT, 0.95), "artifacts": artifacts}


def baseline(table: Predictions, measured: dict[str, Any] | None = None) -> Baseline:
    accepted = Accepted(measure_sha256="", predictions_sha256="", selfies_dataset_id="", checkpoint_id="c" * 64)
    return Baseline(measured or measure_json(table), table, accepted)


def row_of(new: Predictions, old: Baseline | None, name: str = NAME, checks: tuple[Check, ...] = ()) -> DeltaRow:
    return {row.name: row for row in deltas(measure_json(new), new, old, checks).rows}[name]


def shuffled(table: Predictions) -> Predictions:
    """The same answers, rows in another order."""
    order = np.random.default_rng(1).permutation(len(table.ids))
    return replace(
        table,
        ids=tuple(table.ids[i] for i in order),
        sha256=tuple(table.sha256[i] for i in order),
        targets=table.targets[order],
        probabilities={name: values[order] for name, values in table.probabilities.items()},
    )


def test_an_unchanged_artifact_is_the_same(table: Table) -> None:
    row = row_of(table(400), baseline(shuffled(table(400))))
    assert (row.accuracy.change, row.accuracy.tone) == (0.0, "same")
    assert [each.tone for each in (row.fnr, row.fpr, row.size)] == ["same"] * 3
    assert not row.is_new


def test_changes_are_paired_selfie_by_selfie_whatever_the_order(table: Table) -> None:
    new, old = table(2000, {NAME: 100}), table(2000, {NAME: 40})
    row = row_of(new, baseline(shuffled(old)))
    assert row.accuracy == Delta(pytest.approx(0.95), pytest.approx(-0.03), "worse")
    assert row.fnr == Delta(pytest.approx(0.05), pytest.approx(0.03), "worse")
    assert row.fpr == Delta(pytest.approx(0.05), pytest.approx(0.03), "worse")
    back = row_of(old, baseline(new))
    assert back.accuracy == Delta(pytest.approx(0.98), pytest.approx(0.03), "better")
    assert back.fpr.tone == "better"


def test_a_change_whose_interval_holds_none_at_all_is_noise(table: Table) -> None:
    new, old = table(400, {NAME: 11}), table(400, {NAME: 10})
    right = [each.decisions(NAME) == each.targets for each in (old, new)]
    low, high = paired_difference_interval(right[0], right[1], 0.95)
    assert low < 0 < high
    row = row_of(new, baseline(old))
    assert row.accuracy == Delta(pytest.approx(389 / 400), pytest.approx(-1 / 400), "noise")
    assert [row.fnr.tone, row.fpr.tone] == ["same", "noise"]


def test_the_checkpoint_has_a_row_of_its_own_without_size_and_time(table: Table) -> None:
    found = deltas(measure_json(table(400)), table(400), baseline(table(400)))
    assert [row.name for row in found.rows] == [CHECKPOINT, *NAMES]
    assert found.rows[0].accuracy.tone == "same"
    assert (found.rows[0].size, found.rows[0].latency) == (Delta(None), Delta(None))


def test_sizes_change_by_a_share_of_what_they_were(table: Table) -> None:
    old = baseline(table(40), measure_json(table(40), {NAME: 800_000, "onnx-float32": 1_250_000}))
    assert row_of(table(40), old).size == Delta(1e6, pytest.approx(0.25), "worse")
    assert row_of(table(40), old, "onnx-float32").size == Delta(1e6, pytest.approx(-0.2), "better")


def paired(value: float | None, verdict: Any, artifact: str = NAME) -> Check:
    return Check(name="latency_vs_baseline", artifact=artifact, value=value, limit=0.04, verdict=verdict, reason="r")


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        (paired(0.081, "fail"), Delta(2.0, 0.081, "worse")),
        (paired(0.031, "pass"), Delta(2.0, 0.031, "worse")),
        (paired(0.012, "pass"), Delta(2.0, 0.012, "noise")),
        (paired(-0.05, "pass"), Delta(2.0, -0.05, "better")),
        (paired(0.0, "pass"), Delta(2.0, 0.0, "same")),
        (paired(None, "unmeasured"), Delta(2.0)),
        (paired(0.081, "fail", "onnx-float32"), Delta(2.0)),
    ],
)
def test_time_changes_only_as_the_gate_took_it_in_pairs(table: Table, check: Check, expected: Delta) -> None:
    old = baseline(table(40))
    old.measured["artifacts"][NAME]["latency_p50_ms"] = 1.0  # stored milliseconds, which count for nothing
    assert row_of(table(40), old, checks=(check,)).latency == expected


def test_artifacts_that_come_and_go_are_named(table: Table) -> None:
    old = measure_json(table(40))
    old["artifacts"]["onnx-int4"] = old["artifacts"].pop(NAME)
    found = deltas(measure_json(table(40)), table(40), baseline(table(40), old))
    assert found.gone == ("onnx-int4",)
    assert [row.name for row in found.rows if row.is_new] == [NAME]
    assert {row.name: row for row in found.rows}[NAME].size == Delta(1e6)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"labels": ("bare", "hat")}, "the baseline decides between bare, hat"),
        ({"sha256": tuple("f" * 64 for _ in range(40))}, "the baseline was measured on other selfies"),
    ],
)
def test_what_cannot_be_paired_is_not_compared(table: Table, change: dict[str, Any], why: str) -> None:
    found = deltas(measure_json(table(40)), table(40), baseline(replace(table(40), **change)))
    assert found.why == why
    assert all(row.accuracy.change is row.fnr.change is row.fpr.change is None for row in found.rows)
    assert found.rows[1].size.tone == "same"


def test_without_a_baseline_or_answers_there_is_no_change(table: Table) -> None:
    bare = deltas(measure_json(table(40)), table(40), None)
    assert bare.why == "no baseline was accepted yet"
    assert {row.size.tone for row in bare.rows} == {""}
    assert not any(row.is_new for row in bare.rows)
    assert "no predictions" in deltas(measure_json(table(40)), None, baseline(table(40))).why
    assert deltas({}, None, None).rows[0].accuracy == Delta(None)


def test_broken_answers_have_no_change_and_figures_that_are_no_numbers_no_value(table: Table) -> None:
    broken = table(40)
    broken.probabilities[NAME][3] = np.nan
    assert row_of(broken, baseline(table(40))).accuracy == Delta(None)
    assert row_of(table(40), baseline(broken)).accuracy == Delta(pytest.approx(1.0), None, "")
    measured = measure_json(table(40))
    measured["artifacts"][NAME] |= {"size_bytes": float("nan"), "latency_p50_ms": True}
    row = {row.name: row for row in deltas(measured, table(40), None).rows}[NAME]
    assert (row.size, row.latency) == (Delta(None), Delta(None))


def test_selfies_of_one_label_have_no_rate_of_the_other(table: Table) -> None:
    helmets = replace(table(40), targets=np.ones(40, np.int64))
    row = row_of(helmets, baseline(helmets))
    assert row.fpr == Delta(None)
    assert row.fnr.tone == "same"

"""Changes since the baseline: on the same selfies, noise marked as noise, nothing compared that cannot be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.evaluation.machine_figures import MachineFigures
from benchmarks.evaluation.measurement import Measurement
from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from benchmarks.gate.baseline import Accepted, Baseline
from benchmarks.report.baseline_changes import ArtifactChanges, BaselineChanges, Change, compare_with_baseline
from pipeline.data.records import Check, Outcome
from pipeline.metrics.statistics import paired_difference_interval
from tests.benchmarks.evaluation.measurements import changed, measurement_of, without
from tests.benchmarks.report.timings import timings_of
from tests.benchmarks.small_task import NAMES

Table = Callable[..., Predictions]
NAME = "tflite-float32"


def accepted(table: Predictions, measurement: Measurement | None = None) -> Baseline:
    record = Accepted(measure_sha256="", predictions_sha256="", selfies_dataset_id="", checkpoint_id="c" * 64)
    return Baseline(measurement or measurement_of(table), table, record)


def compare(table: Predictions, baseline: Baseline | None, *checks: Check) -> BaselineChanges:
    return compare_with_baseline(measurement_of(table), timings_of(NAMES), table, baseline, checks)


def row_of(table: Predictions, baseline: Baseline | None, *checks: Check, name: str = NAME) -> ArtifactChanges:
    return {row.name: row for row in compare(table, baseline, *checks).rows}[name]


def shuffled(table: Predictions) -> Predictions:
    """The same predictions with the rows in another order."""
    order = np.random.default_rng(1).permutation(len(table.ids))
    return replace(
        table,
        ids=tuple(table.ids[i] for i in order),
        sha256=tuple(table.sha256[i] for i in order),
        targets=table.targets[order],
        probabilities={name: values[order] for name, values in table.probabilities.items()},
    )


def test_an_unchanged_artifact_is_the_same(table: Table) -> None:
    row = row_of(table(400), accepted(shuffled(table(400))))
    assert row.accuracy == Change(pytest.approx(0.98), 0.0, "same")
    assert [change.assessment for change in (row.fnr, row.fpr, row.size)] == ["same"] * 3
    assert not row.is_new


def test_decisions_are_paired_by_selfie_in_any_order(table: Table) -> None:
    new, old = table(2000, {NAME: 100}), table(2000, {NAME: 40})
    row = row_of(new, accepted(shuffled(old)))
    assert row.accuracy == Change(pytest.approx(0.95), pytest.approx(-0.03), "worse")
    assert row.fnr == Change(pytest.approx(0.05), pytest.approx(0.03), "worse")
    assert row.fpr == Change(pytest.approx(0.05), pytest.approx(0.03), "worse")
    back = row_of(old, accepted(new))
    assert back.accuracy == Change(pytest.approx(0.98), pytest.approx(0.03), "better")
    assert back.fpr.assessment == "better"


def test_a_change_whose_interval_includes_zero_is_noise(table: Table) -> None:
    new, old = table(400, {NAME: 11}), table(400, {NAME: 10})
    before, after = (predictions.decisions(NAME) == predictions.targets for predictions in (old, new))
    low, high = paired_difference_interval(before, after, 0.95)
    assert low < 0 < high
    row = row_of(new, accepted(old))
    assert row.accuracy == Change(pytest.approx(389 / 400), pytest.approx(-1 / 400), "noise")
    assert [row.fnr.assessment, row.fpr.assessment] == ["same", "noise"]


def test_the_checkpoint_has_the_first_row_without_size_and_latency(table: Table) -> None:
    changes = compare(table(400), accepted(table(400)))
    assert [row.name for row in changes.rows] == [CHECKPOINT, *NAMES]
    assert changes.rows[0].accuracy.assessment == "same"
    assert (changes.rows[0].size, changes.rows[0].latency) == (Change(None), Change(None))


def test_sizes_change_relative_to_the_baseline(table: Table) -> None:
    old = changed(measurement_of(table(40)), NAME, size_bytes=800_000)
    baseline = accepted(table(40), changed(old, "onnx-float32", size_bytes=1_250_000))
    assert row_of(table(40), baseline).size == Change(1e6, pytest.approx(0.25), "worse")
    assert row_of(table(40), baseline, name="onnx-float32").size == Change(1e6, pytest.approx(-0.2), "better")


def latency_check(value: float | None, verdict: Outcome, artifact: str = NAME) -> Check:
    return Check(name="latency_vs_baseline", artifact=artifact, value=value, limit=0.04, verdict=verdict, reason="r")


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        (latency_check(0.081, "fail"), Change(2.0, 0.081, "worse")),
        (latency_check(0.031, "pass"), Change(2.0, 0.031, "worse")),
        (latency_check(0.012, "pass"), Change(2.0, 0.012, "noise")),
        (latency_check(-0.05, "pass"), Change(2.0, -0.05, "better")),
        (latency_check(0.0, "pass"), Change(2.0, 0.0, "same")),
        (latency_check(None, "unmeasured"), Change(2.0)),
        (latency_check(0.081, "fail", "onnx-float32"), Change(2.0)),
    ],
)
def test_latency_changes_only_as_the_gate_measured_it(table: Table, check: Check, expected: Change) -> None:
    assert row_of(table(40), accepted(table(40)), check).latency == expected


def test_without_timings_on_this_machine_there_is_no_latency(table: Table) -> None:
    changes = compare_with_baseline(
        measurement_of(table(40)), MachineFigures(), table(40), accepted(table(40)), [latency_check(0.081, "fail")]
    )
    assert {row.latency for row in changes.rows} == {Change(None)}


def test_new_and_removed_artifacts_are_named(table: Table) -> None:
    new, old = measurement_of(table(40)), without(measurement_of(table(40)), NAME)
    changes = compare_with_baseline(new, timings_of(NAMES), table(40), accepted(table(40), old), [])
    assert changes.removed == ()
    assert [row.name for row in changes.rows if row.is_new] == [NAME]
    assert {row.name: row for row in changes.rows}[NAME].size == Change(1e6)
    back = compare_with_baseline(old, timings_of(NAMES), table(40), accepted(table(40), new), [])
    assert back.removed == (NAME,)
    assert not any(row.is_new for row in back.rows)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"labels": ("bare", "hat")}, "another task: labels no_helmet, helmet; the baseline's are bare, hat"),
        ({"sha256": tuple("f" * 64 for _ in range(40))}, "other selfies: 0 of 40 are among the baseline's 40"),
    ],
)
def test_shares_on_another_task_or_other_selfies_are_not_compared(
    table: Table, change: dict[str, tuple[str, ...]], reason: str
) -> None:
    other = replace(table(40), **change)  # type: ignore[arg-type]
    changes = compare(table(40), accepted(other, measurement_of(table(40))))
    assert changes.incomparable == reason
    assert all(row.accuracy.difference is row.fnr.difference is row.fpr.difference is None for row in changes.rows)
    assert changes.rows[1].size.assessment == "same"


def test_without_baseline_or_predictions_there_is_no_change(table: Table) -> None:
    changes = compare(table(40), None)
    assert changes.incomparable == "no baseline was accepted yet"
    assert {row.size.assessment for row in changes.rows} == {""}
    assert not any(row.is_new for row in changes.rows)
    unpaired = compare_with_baseline(measurement_of(table(40)), MachineFigures(), None, accepted(table(40)), [])
    assert unpaired.incomparable == "there are no predictions to compare with the baseline's"
    assert compare_with_baseline(None, MachineFigures(), None, None, []).rows == ()


def test_probabilities_that_are_not_finite_give_no_change(table: Table) -> None:
    broken = table(40)
    broken.probabilities[NAME][3] = np.nan
    assert row_of(broken, accepted(table(40))).accuracy == Change(None)
    assert row_of(table(40), accepted(broken)).accuracy == Change(pytest.approx(1.0))


def test_selfies_of_one_label_have_one_error_rate(table: Table) -> None:
    helmets = replace(table(40), targets=np.ones(40, np.int64))
    row = row_of(helmets, accepted(helmets))
    assert row.fpr == Change(None)
    assert row.fnr.assessment == "same"

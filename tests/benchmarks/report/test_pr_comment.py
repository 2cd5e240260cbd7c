"""The comment on a pull request: the verdict first, then what changed, and short whatever the number of artifacts."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from benchmarks.evaluation.estimates import Estimate
from benchmarks.evaluation.machine_figures import MachineFigures
from benchmarks.evaluation.measurement import ExpectedCost, Measurement, SliceFigures
from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from benchmarks.gate.baseline import Accepted, Baseline
from benchmarks.report import stage as report
from benchmarks.report.inputs import ReportInput
from benchmarks.report.pr_comment import (
    MAX_CHARACTERS,
    CheckCount,
    count_checks,
    describe_checks,
)
from pipeline.config.params import ReportParams
from pipeline.data.records import Check, Outcome, Verdict
from tests.benchmarks.evaluation.measurements import measurement_of
from tests.benchmarks.report.timings import timings_of
from tests.benchmarks.small_task import NAMES

Table = Callable[..., Predictions]
PARAMS = ReportParams(sample_images=0, worst_images=0)
HOSTILE = "|`*_[]<>~\\" * 200


def check(name: str, artifact: str, verdict: Outcome, value: float | None = 0.5, reason: str = "why") -> Check:
    return Check(name=name, artifact=artifact, value=value, limit=0.9, verdict=verdict, reason=reason)


def measured(table: Predictions, cost: float) -> Measurement:
    """A measurement with one slice and costs that grow by one from column to column."""
    names = enumerate(table.probabilities)
    costs = {name: ExpectedCost(overall=cost + i, by_scenario={"street": 3.0}) for i, name in names}
    night = SliceFigures(count=90, accuracy=Estimate(value=cost / 1250, low=0.7, high=0.9), fnr=0.1, fpr=0.1)
    return measurement_of(table).model_copy(update={"slices": {"light": {"night": night}}, "cost_per_1000": costs})


def inputs(table: Predictions, checks: tuple[Check, ...] = (), old: Predictions | None = None) -> ReportInput:
    """A run of the table's artifacts, with a baseline where there is an old table."""
    accepted = Accepted(measure_sha256="", predictions_sha256="", selfies_dataset_id="", checkpoint_id="c" * 64)
    overall: Outcome = "fail" if any(check.verdict == "fail" for check in checks) else "unmeasured"
    return ReportInput(
        "helmet",
        "Does the rider wear a helmet?",
        measurement=measured(table, 1000),
        timings=timings_of(table.probabilities),
        verdict=Verdict(verdict=overall, baseline="v1", checks=checks),
        predictions=table,
        baseline=Baseline(measured(old, 900), old, accepted) if old else None,
    )


def markdown(inputs: ReportInput) -> str:
    return report.run(PARAMS, inputs).markdown.replace("\u00a0", " ").replace("\\", "")


def line_of(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(start))


def test_changes_stand_beside_the_figures_with_arrow_sign_and_assessment(table: Table) -> None:
    new = table(2000, {"tflite-float32": 100, "onnx-float32": 41, "tflite-static_wi8_ai8": 10})
    old = table(2000, {"tflite-float32": 40, "onnx-float32": 40, "tflite-static_wi8_ai8": 40})
    text = markdown(inputs(new, (check("latency_vs_baseline", "tflite-float32", "fail", 0.063),), old))
    row = line_of(text, "| tflite-float32 ").split(" | ")
    assert row[1] == "95.0 % ↓ -3.00 **worse**"
    assert row[3:5] == ["5.0 % ↑ +3.00 **worse**"] * 2
    assert row[5:] == ["1.00 MB =", "2.00 ms ↑ +6.3 % **worse**", "1 fail |"]
    assert line_of(text, "| onnx-float32 ").split(" | ")[1] == "98.0 % ↓ -0.05 noise"
    assert line_of(text, "| tflite-static_wi8_ai8 ").split(" | ")[1] == "99.5 % ↑ +1.50 better"
    assert line_of(text, "| checkpoint ").split(" | ")[1] == "98.0 % ="
    assert "↑ ↓: change since the baseline" in text


def test_without_a_baseline_there_are_figures_without_changes(table: Table) -> None:
    text = markdown(inputs(table(2000), (check("accuracy", NAMES[0], "unmeasured"),)))
    assert line_of(text, "| coreml-float16 ").split(" | ")[1:3] == ["98.0 %", "97.3 % to 98.5 %"]
    assert "no baseline was accepted yet" in text
    assert not re.search("[↑↓]", text)
    assert line_of(text, "| accuracy | ") == "| accuracy | 90.00 % |  |  | 1 |"


def test_where_this_machine_has_timed_nothing_the_comment_says_so(table: Table) -> None:
    text = markdown(replace(inputs(table(40)), timings=MachineFigures()))
    assert "Latency is unmeasured on this machine." in text
    assert line_of(text, "| coreml-float16 ").split(" | ")[6] == "unmeasured"
    assert "Latency is unmeasured" not in markdown(inputs(table(40)))


def test_the_verdict_comes_first_and_what_did_not_pass_next(table: Table) -> None:
    checks = (
        check("size_bytes", NAMES[0], "pass"),
        check("accuracy", NAMES[1], "unmeasured", None, "needs about 300 more selfies"),
        check("some_new_check", NAMES[2], "fail", 0.2, "0.2 is not >= 0.9"),
    )
    lines = [line for line in markdown(inputs(table(40), checks)).splitlines() if line]
    assert lines[0] == "## helmet: fail"
    assert lines[1].startswith(
        "Nothing was measured on real faces: to measure on photographs, set selfies.photographs: "
    )
    assert lines[2] == "1 of 3 checks pass, on the test set rendered. Baseline: v1."
    assert lines[3] == "- **fail** some_new_check: tflite-float32: 0.2 is not >= 0.9".replace(">", "&gt;")
    assert lines[4] == "- **unmeasured** accuracy: onnx-float32: needs about 300 more selfies"


def test_costs_and_the_worst_slice_stand_beside_those_of_the_baseline(table: Table) -> None:
    text = markdown(inputs(table(40), old=table(40)))
    assert "80.0 % (70.0 % to 90.0 %) of 90 selfies; in the baseline 72.0 %." in text
    assert (
        "in the policy's unit: 1,000 for the checkpoint (900 in the baseline); "
        "artifacts 1,001 (coreml-float16) to 1,004 (tflite-static_wi8_ai8)." in text
    )


def test_a_cost_that_is_unmeasured_has_its_reason(table: Table) -> None:
    bare = {"cost_per_1000": {}, "unmeasured": {"cost_per_1000": "no scenario"}}
    without = replace(inputs(table(40)), measurement=measured(table(40), 1000).model_copy(update=bare))
    assert "per 1,000 decisions: unmeasured: no scenario." in markdown(without)


def test_links_lead_to_places_of_the_page(table: Table) -> None:
    made = report.run(PARAMS, inputs(table(40)))
    targets = re.findall(r"^\[(\w+)\]: index\.html#?(\w*)$", made.markdown, re.MULTILINE)
    assert [name for name, _ in targets] == ["misclassified", "curves", "report"]
    for name, place in targets:
        assert f"][{name}]" in made.markdown
        assert not place or f'id="{place}"' in made.html


def test_rows_of_the_table_have_equally_many_columns(table: Table) -> None:
    text = report.run(PARAMS, inputs(many_artifacts(table(40), 14), old=table(40))).markdown
    rows = [re.sub(r"\\.", "", line) for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 15
    assert {row.count("|") for row in rows} == {9}


def many_artifacts(table: Predictions, count: int, name: str = "onnx-recipe") -> Predictions:
    names = [CHECKPOINT, *(f"{name}_{i}" for i in range(count))]
    values = table.probabilities[CHECKPOINT]
    return replace(table, probabilities=dict.fromkeys(names, values), thresholds=dict.fromkeys(names, 0.5))


def test_fourteen_artifacts_make_a_comment_of_one_page(table: Table) -> None:
    predictions = many_artifacts(table(400), 14)
    names = ("accuracy", "agreement", "size_bytes", "accuracy_vs_baseline", "fnr_vs_baseline", "latency_vs_baseline")
    verdicts: tuple[Outcome, ...] = ("pass", "fail", "unmeasured")
    reason = "57 lost, 3 gained of 2000; interval -0.0351 to -0.0192; McNemar mid-p 2.1e-11"
    checks = tuple(
        check(name, artifact, verdicts[(i + j) % 3], 0.5, reason)
        for i, name in enumerate(names)
        for j, artifact in enumerate(predictions.probabilities)
    )
    text = report.run(PARAMS, inputs(predictions, checks, predictions)).markdown
    assert len(text) < 9_000
    assert max(map(len, text.splitlines())) < 500
    assert all(f"\n| {name}".replace("_", "\\_") in text for name in predictions.probabilities)


@pytest.mark.parametrize("name", ["onnx-recipe", f"onnx-{HOSTILE}"])
def test_the_comment_stays_below_the_limit_of_github(table: Table, name: str) -> None:
    predictions = many_artifacts(table(4), 120, name)
    checks = tuple(
        check(f"{name} {i % 90}", artifact, "fail" if i % 2 else "unmeasured", 0.5, f"{name} {i}")
        for i, artifact in enumerate([*predictions.probabilities] * 4)
    )
    full = inputs(predictions, checks, many_artifacts(table(4), 100, f"{name} old"))
    measurement = measured(predictions, 1000)
    hostile = {
        "unmeasured": {f"{name}{i}": f"{name}{i // 2}" for i in range(999)},
        "slices": {name: {name: measurement.slices["light"]["night"]}},
    }
    verdict = Verdict(verdict="fail", baseline=name, checks=checks)
    text = report.run(
        PARAMS,
        replace(full, policy=name, verdict=verdict, measurement=measurement.model_copy(update=hostile)),
    ).markdown
    assert len(text) < MAX_CHARACTERS
    assert len(text.encode()) < MAX_CHARACTERS
    assert "81 more artifacts are on the report page." in text
    assert "more kinds of check" in text
    assert "other reasons" in text
    assert text.rstrip().endswith("[report]: index.html")


def test_when_artifacts_exceed_the_limit_those_that_fail_are_shown(table: Table) -> None:
    predictions = many_artifacts(table(4), 100)
    text = markdown(inputs(predictions, (check("accuracy", "onnx-recipe_99", "fail"),)))
    assert "\n| onnx-recipe_99 " in text
    assert "\n| onnx-recipe_98 " not in text


def test_checks_are_counted_by_name_and_by_artifact() -> None:
    checks = [
        check("accuracy", "a", "fail"),
        check("accuracy", "b", "pass"),
        check("size_bytes", "a", "unmeasured").model_copy(update={"limit": 1.0}),
        check("size_bytes", "b", "pass"),
    ]
    assert count_checks(checks) == [CheckCount("accuracy", 0.9, 1, 1, 0), CheckCount("size_bytes", None, 1, 0, 1)]
    assert [describe_checks(name, checks) for name in "abc"] == ["1 fail, 1 unmeasured", "2 pass", ""]

"""The comment on a pull request: the verdict first, what changed, and short however much there is to say."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.evaluation.accuracy import rate
from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from benchmarks.gate.baseline import Accepted, Baseline
from benchmarks.report import pr_comment
from benchmarks.report import stage as report
from benchmarks.report.inputs import ReportInput
from benchmarks.report.pr_comment import LIMIT, CheckCount, Told, cell, counted, grouped, judged
from pipeline.config.params import ReportParams
from pipeline.data.records import Check, Outcome, Verdict
from tests.benchmarks.small_task import NAMES

Table = Callable[..., Predictions]
PARAMS = ReportParams(sample_images=0, worst_images=0)
HOSTILE = "|`*_[]<>~\\" * 200


def check(name: str, artifact: str, verdict: Outcome, value: float | None = 0.5, reason: str = "why") -> Check:
    return Check(name=name, artifact=artifact, value=value, limit=0.9, verdict=verdict, reason=reason)


def found(table: Predictions, checks: tuple[Check, ...] = (), old: Predictions | None = None) -> ReportInput:
    """A run of the four artifacts, with a baseline where there is an old table."""
    accepted = Accepted(measure_sha256="", predictions_sha256="", selfies_dataset_id="", checkpoint_id="c" * 64)
    overall = "fail" if any(each.verdict == "fail" for each in checks) else "unmeasured"
    return ReportInput(
        "helmet",
        "Does the rider wear a helmet?",
        metrics={"measure": measure_json(table, 1000)},
        verdict=Verdict(verdict=overall, baseline="v1", checks=checks),
        predictions=table,
        baseline=Baseline(measure_json(old, 900), old, accepted) if old else None,
    )


def measure_json(table: Predictions, cost: float) -> dict[str, Any]:
    names = [name for name in table.probabilities if name != CHECKPOINT]
    costs = {name: {"overall": cost + i, "street": 3.0} for i, name in enumerate(table.probabilities)}
    night = {"count": 90, "accuracy": cost / 1250, "accuracy_low": 0.7, "accuracy_high": 0.9, "fnr": 0.1, "fpr": 0.1}
    return {
        "checkpoint": rate(table, CHECKPOINT, 0.95),
        "artifacts": {name: {**rate(table, name, 0.95), "size_bytes": 10**6, "latency_p50_ms": 2.0} for name in names},
        "slices": {"light": {"night": night}},
        "cost_per_1000": costs,
    }


def said(found: ReportInput) -> str:
    return report.run(PARAMS, found).markdown.replace("\u00a0", " ").replace("\\", "")


def line_of(markdown: str, start: str) -> str:
    return next(line for line in markdown.splitlines() if line.startswith(start))


def test_changes_stand_beside_the_figures_with_arrow_sign_and_worth(table: Table) -> None:
    new = table(2000, {"tflite-float32": 100, "onnx-float32": 41, "tflite-static_wi8_ai8": 10})
    old = table(2000, {"tflite-float32": 40, "onnx-float32": 40, "tflite-static_wi8_ai8": 40})
    markdown = said(found(new, (check("latency_vs_baseline", "tflite-float32", "fail", 0.063),), old))
    row = line_of(markdown, "| tflite-float32 ").split(" | ")
    assert row[1] == "95.0 % ↓ -3.00 **worse**"
    assert row[3:5] == ["5.0 % ↑ +3.00 **worse**"] * 2
    assert row[5:] == ["1.00 MB =", "2.00 ms ↑ +6.3 % **worse**", "1 fail |"]
    assert line_of(markdown, "| onnx-float32 ").split(" | ")[1] == "98.0 % ↓ -0.05 noise"
    assert line_of(markdown, "| tflite-static_wi8_ai8 ").split(" | ")[1] == "99.5 % ↑ +1.50 better"
    assert line_of(markdown, "| checkpoint ").split(" | ")[1] == "98.0 % ="
    assert "↑ ↓: against the baseline" in markdown


def test_without_a_baseline_there_are_plain_figures_and_floors(table: Table) -> None:
    markdown = said(found(table(2000), (check("accuracy", NAMES[0], "unmeasured"),)))
    assert line_of(markdown, "| coreml-float16 ").split(" | ")[1:3] == ["98.0 %", "97.3 % to 98.5 %"]
    assert "no baseline was accepted yet" in markdown
    assert not re.search("[↑↓]", markdown)
    assert line_of(markdown, "| accuracy | ") == "| accuracy | 90.00 % |  |  | 1 |"


def test_the_verdict_comes_first_and_what_speaks_against_it_next(table: Table) -> None:
    checks = (
        check("size_bytes", NAMES[0], "pass"),
        check("accuracy", NAMES[1], "unmeasured", None, "needs about 300 more selfies"),
        check("some_new_check", NAMES[2], "fail", 0.2, "0.2 is not >= 0.9"),
    )
    lines = [line for line in said(found(table(40), checks)).splitlines() if line]
    assert lines[0] == "## helmet: fail"
    assert lines[1] == "1 of 3 checks pass. Baseline: v1."
    assert lines[2] == "- **fail** some_new_check: tflite-float32: 0.2 is not >= 0.9".replace(">", "&gt;")
    assert lines[3] == "- **unmeasured** accuracy: onnx-float32: needs about 300 more selfies"


def test_costs_and_the_worst_slice_stand_beside_the_baseline_s(table: Table) -> None:
    markdown = said(found(table(40), old=table(40)))
    assert "80.0 % (70.0 % to 90.0 %) of 90 selfies; in the baseline 72.0 %." in markdown
    assert (
        "in the policy's units: 1,000 by the checkpoint (900 in the baseline); "
        "artifacts 1,001 (coreml-float16) to 1,004 (tflite-static_wi8_ai8)." in markdown
    )
    bare = found(table(40))
    without = {**bare.metrics["measure"], "cost_per_1000": {}, "unmeasured": {"cost_per_1000": "no scenario"}}
    assert "per 1,000 checks: unmeasured: no scenario." in said(replace(bare, metrics={"measure": without}))


def test_links_lead_to_places_of_the_page(table: Table) -> None:
    made = report.run(PARAMS, found(table(40)))
    targets = re.findall(r"^\[(\w+)\]: index\.html#?(\w*)$", made.markdown, re.MULTILINE)
    assert [name for name, _ in targets] == ["mistakes", "curves", "report"]
    for name, place in targets:
        assert f"][{name}]" in made.markdown
        assert not place or f'id="{place}"' in made.html


def test_tables_keep_their_columns(table: Table) -> None:
    markdown = report.run(PARAMS, found(many(table(40), 14), old=table(40))).markdown
    rows = [re.sub(r"\\.", "", line) for line in markdown.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 15
    assert {row.count("|") for row in rows} == {9}


def many(table: Predictions, count: int, name: str = "onnx-recipe") -> Predictions:
    names = [CHECKPOINT, *(f"{name}_{i}" for i in range(count))]
    values = table.probabilities[CHECKPOINT]
    return replace(table, probabilities=dict.fromkeys(names, values), thresholds=dict.fromkeys(names, 0.5))


def test_fourteen_artifacts_are_a_page_and_not_a_book(table: Table) -> None:
    made = many(table(400), 14)
    names = ("accuracy", "agreement", "size_bytes", "accuracy_vs_baseline", "fnr_vs_baseline", "latency_vs_baseline")
    verdicts: tuple[Outcome, ...] = ("pass", "fail", "unmeasured")
    reason = "57 lost, 3 gained of 2000; interval -0.0351 to -0.0192; McNemar mid-p 2.1e-11"
    checks = tuple(
        check(name, artifact, verdicts[(i + j) % 3], 0.5, reason)
        for i, name in enumerate(names)
        for j, artifact in enumerate(made.probabilities)
    )
    markdown = report.run(PARAMS, found(made, checks, made)).markdown
    assert len(markdown) < 9_000
    assert max(map(len, markdown.splitlines())) < 500
    assert all(f"\n| {name}".replace("_", "\\_") in markdown for name in made.probabilities)


@pytest.mark.parametrize("name", ["onnx-recipe", HOSTILE])
def test_no_number_of_artifacts_and_no_length_of_names_breaks_github_s_limit(table: Table, name: str) -> None:
    made = many(table(4), 120, name)
    checks = tuple(
        check(f"{name} {i % 90}", artifact, "fail" if i % 2 else "unmeasured", 0.5, f"{name} {i}")
        for i, artifact in enumerate([*made.probabilities] * 4)
    )
    full = found(made, checks, many(table(4), 100, f"{name} old"))
    measured = {
        **full.metrics["measure"],
        "unmeasured": {f"{name}{i}": f"{name}{i // 2}" for i in range(999)},
        "slices": {name: {name: full.metrics["measure"]["slices"]["light"]["night"]}},
    }
    verdict = Verdict(verdict="fail", baseline=name, checks=checks)
    markdown = report.run(PARAMS, replace(full, policy=name, verdict=verdict, metrics={"measure": measured})).markdown
    assert len(markdown) < LIMIT
    assert len(markdown.encode()) < LIMIT
    assert "81 more artifacts are on the report page." in markdown
    assert "more kinds of check" in markdown
    assert "other reasons" in markdown
    assert markdown.rstrip().endswith("[report]: index.html")


def test_of_too_many_artifacts_those_that_fail_are_shown(table: Table) -> None:
    made = many(table(4), 100)
    markdown = said(found(made, (check("accuracy", "onnx-recipe_99", "fail"),)))
    assert "\n| onnx-recipe_99 " in markdown
    assert "\n| onnx-recipe_98 " not in markdown


def test_what_did_not_pass_is_told_once_a_kind_with_the_farthest_off_first() -> None:
    checks = [
        check("accuracy", "a", "fail", 0.8, "near"),
        check("accuracy", "b", "fail", 0.1, "far"),
        check("accuracy", "c", "pass"),
        check("comparable", "*", "unmeasured", None, "other selfies"),
        *(check("size_bytes", f"s{i}", "fail", 1.5, f"big {i}") for i in range(7)),
    ]
    assert grouped(checks) == [
        Told("accuracy", ("b", "a"), 0, "far", "fail"),
        Told("size_bytes", ("s0", "s1", "s2", "s3", "s4"), 2, "big 0", "fail"),
        Told("comparable", ("all",), 0, "other selfies", "unmeasured"),
    ]


def test_checks_are_counted_by_name_and_by_artifact() -> None:
    checks = [
        check("accuracy", "a", "fail"),
        check("accuracy", "b", "pass"),
        check("size_bytes", "a", "unmeasured").model_copy(update={"limit": 1.0}),
        check("size_bytes", "b", "pass"),
    ]
    assert counted(checks) == [CheckCount("accuracy", 0.9, 1, 1, 0), CheckCount("size_bytes", None, 1, 0, 1)]
    assert [judged(name, checks) for name in "abc"] == ["1 fail, 1 unmeasured", "2 pass", ""]


def test_only_a_verdict_that_nothing_failed_under_may_be_let_through() -> None:
    def of(verdict: Outcome, *checks: Outcome) -> Verdict:
        return Verdict(verdict=verdict, baseline="", checks=tuple(check("a", "b", each) for each in checks))

    assert pr_comment.only_unmeasured(of("unmeasured", "pass", "unmeasured"))
    assert not pr_comment.only_unmeasured(of("unmeasured", "fail"))
    assert not pr_comment.only_unmeasured(of("fail", "unmeasured"))
    assert not pr_comment.only_unmeasured(of("pass", "pass"))


def test_a_terminal_is_told_the_verdict_and_its_reasons() -> None:
    checks = (check("accuracy", "a", "pass"), *(check("size_bytes", f"s{i}", "fail", 2, "too big") for i in range(6)))
    assert pr_comment.verdict_text(Verdict(verdict="fail", baseline="v1", checks=checks)).splitlines() == [
        "fail: 1 of 7 checks pass; baseline: v1",
        "  fail: size_bytes: s0, s1, s2, s3, s4 and 1 more: too big",
    ]


def test_long_text_is_cut_before_its_marks_are_escaped() -> None:
    assert cell("a|b\n<i>") == "a\\|b &lt;i&gt;"
    assert cell("word " * 100, 12) == "word word w\u2026"
    assert len(cell(HOSTILE)) <= 5 * 240

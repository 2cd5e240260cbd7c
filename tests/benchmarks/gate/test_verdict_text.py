"""A verdict in words: one line per kind of check, whatever the number of artifacts, with what to do next."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from benchmarks.gate.checks.resource_growth import closed_bench
from benchmarks.gate.stage import refuse_unless_pass
from benchmarks.gate.verdict_text import (
    CheckGroup,
    describe_not_passed,
    describe_verdict,
    group_not_passed,
    only_unmeasured,
)
from pipeline.config.params import GateParams
from pipeline.data.records import Check, Outcome, Verdict
from pipeline.errors import ReleaseRefusedError
from tests.benchmarks.evaluation.measurements import measurement_of
from tests.benchmarks.gate.verdicts import as_baseline, factored, judge

Table = Callable[..., Predictions]


def check(name: str, artifact: str, verdict: Outcome, value: float | None = 0.5, reason: str = "why") -> Check:
    return Check(name=name, artifact=artifact, value=value, limit=0.9, verdict=verdict, reason=reason)


def test_checks_that_did_not_pass_are_grouped_with_the_farthest_from_its_limit_first() -> None:
    checks = [
        check("accuracy", "a", "fail", 0.8, "near"),
        check("accuracy", "b", "fail", 0.1, "far"),
        check("accuracy", "c", "pass"),
        check("baseline_comparable", "*", "unmeasured", None, "other selfies"),
        *(check("size_bytes", f"s{i}", "fail", 1.5, "big") for i in range(7)),
    ]
    assert group_not_passed(checks) == [
        CheckGroup("accuracy", "fail", ("b", "a"), 0, "the worst is b: far"),
        CheckGroup("size_bytes", "fail", ("s0", "s1", "s2", "s3", "s4"), 2, "big"),
        CheckGroup("baseline_comparable", "unmeasured", ("all",), 0, "other selfies"),
    ]


def test_of_undecided_checks_the_least_certain_is_first_and_missing_figures_are_named() -> None:
    checks = [
        check("accuracy", "far", "unmeasured", 0.7, "needs 10"),
        check("accuracy", "broken", "unmeasured", None, "no figure: it could not be loaded"),
        check("accuracy", "near", "unmeasured", 0.89, "needs 1,000"),
    ]
    (group,) = group_not_passed(checks)
    assert group.names == ("near", "far", "broken")
    assert group.reason == "e.g. near: needs 1,000; broken: no figure"


def test_checks_that_block_no_release_come_last_and_say_so() -> None:
    checks = [
        check("undersized_slices", "*", "unmeasured", None, "too few"),
        check("accuracy", "a", "unmeasured", 0.8, "unclear"),
        check("undersized_slices", "a", "fail", 0.1, "it fell"),
    ]
    assert describe_not_passed(checks).splitlines() == [
        "  fail: undersized_slices: a: it fell",
        "  unmeasured: accuracy: a: unclear",
        "  unmeasured (blocks no release): undersized_slices: all: too few",
    ]


def test_only_a_verdict_without_a_failed_check_is_only_unmeasured() -> None:
    def verdict(overall: Outcome, *checks: Outcome) -> Verdict:
        return Verdict(verdict=overall, baseline="", checks=tuple(check("a", "b", outcome) for outcome in checks))

    assert only_unmeasured(verdict("unmeasured", "pass", "unmeasured"))
    assert not only_unmeasured(verdict("unmeasured", "fail"))
    assert not only_unmeasured(verdict("fail", "unmeasured"))
    assert not only_unmeasured(verdict("pass", "pass"))


def test_a_terminal_shows_the_verdict_and_its_reasons() -> None:
    checks = (check("accuracy", "a", "pass"), *(check("size_bytes", f"s{i}", "fail", 2, "too big") for i in range(6)))
    assert describe_verdict(Verdict(verdict="fail", baseline="v1", checks=checks)).splitlines() == [
        "fail: 1 of 7 checks pass, on the test set rendered; baseline: v1",
        "  fail: size_bytes: s0, s1, s2, s3, s4 and 1 more: too big",
    ]


def test_a_refusal_has_one_line_per_kind_of_check_not_one_per_artifact(gate_params: GateParams, table: Table) -> None:
    few = factored(table(400), light=lambda row: "night" if row % 4 else "day")
    verdict = judge(
        gate_params, measurement_of(few), few, as_baseline(few), closed_bench("run gossamer baseline fetch")
    )
    with pytest.raises(ReleaseRefusedError) as refused:
        refuse_unless_pass(verdict)
    head, *lines, last = str(refused.value).splitlines()
    kinds = [line.split(": ")[1] for line in lines]
    assert head.startswith("refused: the verdict is unmeasured; baseline: checkpoint abc on 400 selfies")
    assert kinds == ["fnr_vs_baseline", "fpr_vs_baseline", "memory_growth", "latency_vs_baseline"]
    assert all(artifact in lines[0] for artifact in verdict_names(verdict))
    assert last == "every check with its figures: report/index.html#checks"


def test_every_reason_says_in_words_what_happened_and_what_to_do_before_the_statistics(
    gate_params: GateParams, table: Table
) -> None:
    few = table(400, wrong=dict.fromkeys((CHECKPOINT, *table().probabilities), 20))
    verdict = judge(gate_params, measurement_of(few), few, as_baseline(table(400)))
    for row in verdict.checks:
        words = row.reason.partition(" (")[0]
        assert not {"interval", "mid-p", "Holm"} & set(words.split()), row.reason
        if row.verdict == "unmeasured" and row.value is not None:
            assert "more selfies: raise selfies.count or add photographs" in words
            assert "gate." in words


def verdict_names(verdict: Verdict) -> set[str]:
    return {row.artifact for row in verdict.checks if row.name == "accuracy"}

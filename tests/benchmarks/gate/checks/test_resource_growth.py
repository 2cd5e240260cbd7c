"""What an artifact costs, beside its accepted forerunner: growth, and time taken side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.evaluation.predictions import Predictions
from benchmarks.gate import stage as gate
from benchmarks.gate.checks.check_results import EVERYTHING, UNTIMED
from benchmarks.gate.checks.resource_growth import Bench, no_bench
from benchmarks.latency.side_by_side import PairedTiming
from pipeline.config.params import GateParams
from pipeline.data.records import Verdict
from pipeline.errors import ModelError
from tests.benchmarks.gate.verdicts import INT8, as_baseline, check, measured

Table = Callable[..., Predictions]


def ratios(*runs: float) -> Bench:
    """A bench on which runs have these ratios, for every artifact."""

    def time(_: str, run: int) -> PairedTiming:
        return PairedTiming(ratios=(runs[run],) * 9, candidate_p50_ms=runs[run], baseline_p50_ms=1.0)

    return Bench(time)


def judged(params: GateParams, table: Table, new: dict[str, Any], old: dict[str, Any], bench: Bench) -> Verdict:
    """Judge equal answers with these figures of one artifact."""
    figures, baseline = measured(table()), as_baseline(table())
    figures["artifacts"][INT8].update(new)
    baseline.measured["artifacts"][INT8].update(old)
    return gate.run(params, figures, table(), baseline, bench)


@pytest.mark.parametrize(
    ("figure", "name", "grown", "within"),
    [
        ("peak_rss_bytes", "memory_growth", 1.12, 1.08),
        ("arm64_instructions", "instruction_growth", 1.012, 1.008),
        ("arm64_instructions_a53", "instruction_growth_a53", 1.012, 1.008),
    ],
)
def test_a_figure_that_grew_beyond_its_limit_fails(
    gate_params: GateParams, table: Table, figure: str, name: str, grown: float, within: float
) -> None:
    for value, verdict in ((grown, "fail"), (within, "pass"), (None, "unmeasured"), (float("nan"), "unmeasured")):
        found = check(judged(gate_params, table, {figure: value}, {figure: 1.0}, ratios(1.0)), name)
        assert found.verdict == verdict, value


@pytest.mark.parametrize("figure", ["peak_rss_bytes", "arm64_instructions"])
def test_what_the_baseline_never_had_is_no_question(gate_params: GateParams, table: Table, figure: str) -> None:
    verdict = judged(gate_params, table, {figure: 1.0}, {}, ratios(1.0))
    assert verdict.verdict == "pass"
    assert not {"memory_growth", "instruction_growth"} & {each.name for each in verdict.checks}


def test_instructions_of_each_format_have_their_own_limit(gate_params: GateParams, table: Table) -> None:
    figures, baseline = measured(table()), as_baseline(table())
    for name in (INT8, "onnx-float32", "coreml-float16"):
        figures["artifacts"][name]["arm64_instructions"] = 1.015
        baseline.measured["artifacts"][name]["arm64_instructions"] = 1.0
    verdict = gate.run(gate_params, figures, table(), baseline)
    assert check(verdict, "instruction_growth").verdict == "fail"
    assert check(verdict, "instruction_growth", "onnx-float32").verdict == "pass"
    assert not [
        each for each in verdict.checks if (each.name, each.artifact) == ("instruction_growth", "coreml-float16")
    ]


TIMED = {"latency_p50_ms": 1.0}


@pytest.mark.parametrize(
    ("runs", "verdict", "words"),
    [
        ((1.01,), "pass", "1.0% slower"),
        ((1.03,), "pass", "warning"),
        ((1.05, 1.06), "fail", "above 4.0% in each"),
        ((1.06, 1.01), "pass", "the better of 2 runs"),
        ((0.9,), "pass", "10.0% faster"),
    ],
)
def test_a_slowdown_must_show_twice(
    gate_params: GateParams, table: Table, runs: tuple[float, ...], verdict: str, words: str
) -> None:
    found = check(judged(gate_params, table, TIMED, TIMED, ratios(*runs)), "latency_vs_baseline")
    assert (found.verdict, found.value, found.limit) == (verdict, pytest.approx(min(runs) - 1), 0.04)
    assert words in found.reason


def test_the_same_file_needs_no_clock(gate_params: GateParams, table: Table) -> None:
    same = {**TIMED, "sha256": "a" * 64}
    found = check(judged(gate_params, table, same, same, no_bench("broken")), "latency_vs_baseline")
    assert (found.verdict, found.value) == ("pass", 0.0)


def test_without_the_baseline_s_artifacts_time_is_unmeasured_and_the_command_is_named(
    gate_params: GateParams, table: Table
) -> None:
    bench = no_bench("run gossamer baseline fetch")
    verdict = judged(gate_params, table, TIMED, TIMED, bench)
    assert verdict.verdict == "unmeasured"
    assert check(verdict, "latency_vs_baseline").reason == "run gossamer baseline fetch"


def test_an_artifact_that_cannot_be_timed_or_gives_no_number_is_unmeasured(
    gate_params: GateParams, table: Table
) -> None:
    def broken(_: str, __: int) -> PairedTiming:
        raise ModelError("it fell over")

    found = check(judged(gate_params, table, TIMED, TIMED, Bench(broken)), "latency_vs_baseline")
    assert (found.verdict, found.reason) == ("unmeasured", "it fell over")
    found = check(judged(gate_params, table, TIMED, TIMED, ratios(float("nan"))), "latency_vs_baseline")
    assert (found.verdict, found.value) == ("unmeasured", None)


def test_a_latency_that_only_the_baseline_has_is_unmeasured(gate_params: GateParams, table: Table) -> None:
    verdict = judged(gate_params, table, {"latency_p50_ms": None}, TIMED, ratios(1.0))
    assert check(verdict, "latency_vs_baseline").verdict == "unmeasured"
    assert verdict.verdict == "unmeasured"


def test_what_no_run_here_can_time_is_told_once_and_stops_nothing(gate_params: GateParams, table: Table) -> None:
    figures, baseline = measured(table()), as_baseline(table())
    figures["unmeasured"] = {"artifacts.coreml-float16.latency": "Core ML needs a Mac"}
    verdict = gate.run(gate_params, figures, table(), baseline)
    assert verdict.verdict == "pass"
    found = check(verdict, UNTIMED, EVERYTHING)
    assert found.verdict == "unmeasured"
    assert found.reason.startswith("coreml-float16, ")
    assert found.reason.endswith("Core ML needs a Mac")

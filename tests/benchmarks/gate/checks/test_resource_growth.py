"""Growth of size, instructions, memory and latency beside the baseline's artifact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from benchmarks.evaluation.measurement import Measurement
from benchmarks.evaluation.predictions import Predictions
from benchmarks.gate.baseline import Baseline
from benchmarks.gate.checks.check_results import ALL_ARTIFACTS, IDENTICAL, LATENCY, LATENCY_NOT_TIMEABLE, MEMORY
from benchmarks.gate.checks.resource_growth import Bench, PairedMemory, closed_bench
from benchmarks.latency.side_by_side import PairedTiming
from pipeline.config.params import GateParams
from pipeline.data.records import Verdict
from pipeline.errors import ModelError
from tests.benchmarks.evaluation.measurements import changed, measurement_of
from tests.benchmarks.gate.verdicts import EQUAL_RESOURCES, INT8, as_baseline, baseline_of, bench_of, check, judge

Table = Callable[..., Predictions]
Counts = dict[str, int | None]
COREML = "coreml-float16"


def judged(
    params: GateParams, table: Table, bench: Bench, new: Counts | None = None, old: Counts | None = None
) -> Verdict:
    """Judge equal predictions of another file, with these figures of one artifact."""
    before = changed(measurement_of(table()), INT8, sha256="old", **(old or {}))
    now = changed(measurement_of(table()), INT8, sha256="new", **(new or {}))
    return judge(params, now, table(), baseline_of(before, table()), bench)


@pytest.mark.parametrize(
    ("figure", "name"),
    [("arm64_instructions", "instruction_growth"), ("arm64_instructions_a53", "instruction_growth_a53")],
)
def test_instructions_that_grew_beyond_the_limit_fail(
    gate_params: GateParams, table: Table, figure: str, name: str
) -> None:
    for value, verdict in ((1012, "fail"), (1008, "pass"), (None, "unmeasured")):
        result = check(judged(gate_params, table, EQUAL_RESOURCES, {figure: value}, {figure: 1000}), name)
        assert result.verdict == verdict, value


def test_a_figure_that_the_baseline_never_had_is_not_checked(gate_params: GateParams, table: Table) -> None:
    verdict = judged(gate_params, table, EQUAL_RESOURCES, {"arm64_instructions": 1000}, {})
    assert verdict.verdict == "pass"
    assert "instruction_growth" not in {row.name for row in verdict.checks}


def test_instructions_of_each_format_have_their_own_limit(gate_params: GateParams, table: Table) -> None:
    before = now = measurement_of(table())
    for name in (INT8, "onnx-float32", COREML):
        before, now = (changed(side, name, arm64_instructions=n) for side, n in ((before, 1000), (now, 1015)))
    verdict = judge(gate_params, now, table(), baseline_of(before, table()))
    assert check(verdict, "instruction_growth").verdict == "fail"
    assert check(verdict, "instruction_growth", "onnx-float32").verdict == "pass"
    growths = [(row.name, row.artifact) for row in verdict.checks if row.name == "instruction_growth"]
    assert ("instruction_growth", COREML) not in growths


@pytest.mark.parametrize(
    ("runs", "verdict", "words"),
    [
        ((1.01,), "pass", "1.0 % slower"),
        ((1.03,), "pass", "warning"),
        ((1.05, 1.06), "fail", "gate.latency.fail allows 4 %"),
        ((1.06, 1.01), "pass", "the better of 2 runs"),
        ((0.9,), "pass", "10.0 % faster"),
    ],
)
def test_a_slowdown_must_show_in_two_runs(
    gate_params: GateParams, table: Table, runs: tuple[float, ...], verdict: str, words: str
) -> None:
    result = check(judged(gate_params, table, bench_of(*runs)), LATENCY)
    assert (result.verdict, result.value, result.limit) == (verdict, pytest.approx(min(runs) - 1), 0.04)
    assert words in result.reason


@pytest.mark.parametrize(("growth", "verdict"), [(0.12, "fail"), (0.08, "pass"), (-0.2, "pass")])
def test_memory_that_grew_beyond_the_limit_fails(
    gate_params: GateParams, table: Table, growth: float, verdict: str
) -> None:
    result = check(judged(gate_params, table, bench_of(1.0, memory_growth=growth)), MEMORY)
    assert (result.verdict, result.value) == (verdict, pytest.approx(growth))
    assert "the baseline's 100,000,000" in result.reason


def test_an_identical_file_is_not_measured_again(gate_params: GateParams, table: Table) -> None:
    same = changed(measurement_of(table()), INT8, sha256="same")
    verdict = judge(gate_params, same, table(), baseline_of(same, table()), closed_bench("broken"))
    for name in (LATENCY, MEMORY):
        result = check(verdict, name)
        assert (result.verdict, result.value, result.reason) == ("pass", 0.0, IDENTICAL)


def test_without_the_baseline_s_artifacts_latency_and_memory_are_unmeasured_and_the_command_is_named(
    gate_params: GateParams, table: Table
) -> None:
    verdict = judged(gate_params, table, closed_bench("run gossamer baseline fetch"))
    assert verdict.verdict == "unmeasured"
    for name in (LATENCY, MEMORY):
        assert check(verdict, name).reason == "run gossamer baseline fetch"


def test_an_artifact_that_cannot_be_measured_is_unmeasured(gate_params: GateParams, table: Table) -> None:
    def broken_time(_: str, __: int) -> PairedTiming:
        raise ModelError("it fell over")

    def broken_memory(_: str) -> PairedMemory:
        raise ModelError("out of memory")

    verdict = judged(gate_params, table, Bench(broken_time, broken_memory))
    assert (check(verdict, LATENCY).verdict, check(verdict, LATENCY).reason) == ("unmeasured", "it fell over")
    assert (check(verdict, MEMORY).verdict, check(verdict, MEMORY).reason) == ("unmeasured", "out of memory")
    result = check(judged(gate_params, table, bench_of(float("nan"))), LATENCY)
    assert (result.verdict, result.value) == ("unmeasured", None)


def test_artifacts_that_cannot_be_timed_here_are_one_advisory_check(gate_params: GateParams, table: Table) -> None:
    bench = replace(EQUAL_RESOURCES, why_not_timeable=coreml_on_a_mac_only)
    verdict = judge(gate_params, measurement_of(table()), table(), as_baseline(table()), bench)
    assert verdict.verdict == "pass"
    result = check(verdict, LATENCY_NOT_TIMEABLE, ALL_ARTIFACTS)
    assert (result.verdict, result.reason) == ("unmeasured", "coreml-float16: Core ML needs a Mac")
    assert not [row for row in verdict.checks if row.artifact == COREML and row.name == LATENCY]


def coreml_on_a_mac_only(format_name: str) -> str:
    return "Core ML needs a Mac" if format_name == "coreml" else ""


def accepted_on_a_mac(measurement: Measurement, table: Table) -> Baseline:
    baseline = baseline_of(measurement, table())
    return replace(baseline, accepted=baseline.accepted.model_copy(update={"timeable": tuple(measurement.artifacts)}))


def test_an_artifact_that_could_be_timed_for_the_baseline_holds_a_release_back_where_it_cannot(
    gate_params: GateParams, table: Table
) -> None:
    """Otherwise a slower Core ML artifact would pass from any machine but a Mac."""
    before = changed(measurement_of(table()), COREML, sha256="old")
    now = changed(measurement_of(table()), COREML, sha256="new")
    bench = replace(EQUAL_RESOURCES, why_not_timeable=coreml_on_a_mac_only)
    verdict = judge(gate_params, now, table(), accepted_on_a_mac(before, table), bench)
    assert verdict.verdict == "unmeasured"
    for name in (LATENCY, MEMORY):
        result = check(verdict, name, COREML)
        assert result.verdict == "unmeasured"
        assert result.reason == (
            "could be timed when the baseline was accepted, but not on this machine: Core ML needs a Mac; run the gate "
            "on a machine that can"
        )
    assert LATENCY_NOT_TIMEABLE not in {row.name for row in verdict.checks}


def test_an_identical_file_passes_where_it_cannot_be_timed_though_the_baseline_could(
    gate_params: GateParams, table: Table
) -> None:
    same = changed(measurement_of(table()), COREML, sha256="same")
    bench = replace(EQUAL_RESOURCES, why_not_timeable=coreml_on_a_mac_only)
    verdict = judge(gate_params, same, table(), accepted_on_a_mac(same, table), bench)
    assert verdict.verdict == "pass"
    assert check(verdict, LATENCY, COREML).reason == IDENTICAL
    assert LATENCY_NOT_TIMEABLE not in {row.name for row in verdict.checks}

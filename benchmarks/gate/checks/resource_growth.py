"""Growth of what an artifact costs a phone since the baseline: size, ARM instructions, memory and latency.

Size and instructions are compared as measured. Memory and latency belong to a machine, so the gate measures candidate
and baseline again, side by side on this machine (``Bench``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

from benchmarks.evaluation.measurement import ArtifactFigures, Measurement
from benchmarks.gate.baseline import Baseline
from benchmarks.gate.checks.check_results import (
    ALL_ARTIFACTS,
    LATENCY,
    LATENCY_NOT_TIMEABLE,
    MEMORY,
    RAISE_LIMIT,
    Limit,
    compare_with_limit,
    explain,
    growth,
    identical,
    percent,
    unmeasured,
)
from benchmarks.latency.side_by_side import PairedTiming, judge_runs
from pipeline.config.params import GateParams
from pipeline.data.records import Check
from pipeline.errors import GossamerError, ModelError

_NO_LAB = (
    "the baseline's ARM instructions were counted, these were not; set up the ARM lab (docs/arm64.md), then run "
    "dvc repro measure"
)


def _always_timeable(_format: str) -> str:
    return ""


class PairedMemory(NamedTuple):
    """Peak memory of an artifact and of the baseline's, each in a fresh process, in bytes."""

    candidate_bytes: int
    baseline_bytes: int


@dataclass(frozen=True, slots=True)
class Bench:
    """Measures artifacts beside the baseline's on this machine.

    Attributes:
        time: (artifact, number of the run: 0, then 1) -> paired ratios of latency.
        memory: Artifact -> peak memory of both.
        why_closed: Why nothing can be measured here; empty where it can.
        why_not_timeable: Format -> why its runtime on this machine does not stand for a phone's; empty where it does.
    """

    time: Callable[[str, int], PairedTiming]
    memory: Callable[[str], PairedMemory]
    why_closed: str = ""
    why_not_timeable: Callable[[str], str] = _always_timeable


def closed_bench(why: str, why_not_timeable: Callable[[str], str] = _always_timeable) -> Bench:
    """A bench that measures nothing, with the reason."""

    def refuse(*_: object) -> NoReturn:
        raise ModelError(why)

    return Bench(refuse, refuse, why, why_not_timeable)


def compare_size_and_instructions(params: GateParams, new: ArtifactFigures, old: ArtifactFigures) -> Iterator[Check]:
    """Growth of size, and of instructions where the baseline has them."""
    size = _growth_limit(
        "size_growth", "gate.max_size_growth", params.max_size_growth, "its size is", ("larger", "smaller")
    )
    yield compare_with_limit(size, new.name, growth(new.size_bytes, old.size_bytes))
    limits = params.max_instruction_growth
    if new.format not in limits:
        return
    counts = {
        "instruction_growth": (new.arm64_instructions, old.arm64_instructions),
        "instruction_growth_a53": (new.arm64_instructions_a53, old.arm64_instructions_a53),
    }
    for check, (now, before) in counts.items():
        param, limit = f"gate.max_instruction_growth.{new.format}", limits[new.format]
        if before is not None and now is None:
            yield unmeasured(check, new.name, _NO_LAB, limit)
        elif before is not None:
            instructions = _growth_limit(check, param, limit, "its ARM instructions are", ("more", "fewer"))
            yield compare_with_limit(instructions, new.name, growth(now, before))


def _growth_limit(check: str, param: str, limit: float, subject: str, words: tuple[str, str]) -> Limit:
    """A limit of relative growth; ``words``: what a rise and what a fall of the subject are called."""

    def describe(share: float) -> str:
        if not share:
            return f"{subject} the same as the baseline's"
        return f"{subject} {percent(abs(share), limit)} {words[0] if share > 0 else words[1]} than the baseline's"

    return Limit(check, param, limit, at_least=False, describe=describe, show=percent, remedy=RAISE_LIMIT)


def compare_memory_and_latency(
    params: GateParams, new: Measurement, baseline: Baseline, names: Sequence[str], bench: Bench
) -> Iterator[Check]:
    """Two checks per artifact, and one advisory check for all that can be timed neither here nor where it was accepted.

    An artifact that could be timed when the baseline was accepted must be timed again: on a machine that cannot, both
    of its checks are unmeasured, unless the file is the same.
    """
    not_timeable = []
    for name in names:
        now, before = new.artifacts[name], baseline.measurement.artifacts[name]
        reason = bench.why_not_timeable(now.format)
        if now.sha256 == before.sha256:
            yield identical(MEMORY, name, params.max_memory_growth)
            yield identical(LATENCY, name, params.latency.fail)
        elif reason and name not in baseline.accepted.timeable:
            not_timeable.append((name, reason))
        elif reason:
            why = (
                f"could be timed when the baseline was accepted, but not on this machine: {reason}; run the gate on a "
                "machine that can"
            )
            yield unmeasured(MEMORY, name, why, params.max_memory_growth)
            yield unmeasured(LATENCY, name, why, params.latency.fail)
        else:
            yield _compare_memory(params, name, bench)
            yield _compare_latency(params, name, bench)
    if not_timeable:
        listed = ", ".join(name for name, _ in not_timeable)
        yield unmeasured(LATENCY_NOT_TIMEABLE, ALL_ARTIFACTS, f"{listed}: {not_timeable[0][1]}")


def _compare_memory(params: GateParams, name: str, bench: Bench) -> Check:
    limit = params.max_memory_growth
    if bench.why_closed:
        return unmeasured(MEMORY, name, bench.why_closed, limit)
    try:
        memory = bench.memory(name)
    except GossamerError as error:
        return unmeasured(MEMORY, name, str(error), limit)
    check = compare_with_limit(
        _growth_limit(MEMORY, "gate.max_memory_growth", limit, "its peak memory is", ("higher", "lower")),
        name,
        growth(*memory),
    )
    statistics = f"{memory.candidate_bytes:,} bytes, the baseline's {memory.baseline_bytes:,}"
    return check.model_copy(update={"reason": explain(check.reason, statistics=statistics)})


def _compare_latency(params: GateParams, name: str, bench: Bench) -> Check:
    """A slowdown fails where it shows in two runs (``benchmarks.latency.side_by_side``)."""
    limit = params.latency.fail
    if bench.why_closed:
        return unmeasured(LATENCY, name, bench.why_closed, limit)
    try:
        runs = judge_runs(lambda run: bench.time(name, run), params.latency.warn, params.latency.fail)
    except GossamerError as error:
        return unmeasured(LATENCY, name, str(error), limit)
    slower = None if runs.value is None else runs.value - 1
    reason = explain(runs.reason, RAISE_LIMIT) if runs.verdict == "fail" else runs.reason
    return Check(name=LATENCY, artifact=name, value=slower, limit=limit, verdict=runs.verdict, reason=reason)

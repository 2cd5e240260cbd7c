"""What an artifact costs a phone, beside what its accepted forerunner cost: bytes, memory, instructions, time.

Time is never compared as stored: candidate and baseline are timed again, side by side on this machine (``Bench``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.gate.checks.check_results import EVERYTHING, UNTIMED, Measured, figure, limited, same_file, unmeasured
from benchmarks.latency.side_by_side import PairedTiming, judge_runs
from pipeline.config.params import GateParams
from pipeline.data.records import Check
from pipeline.errors import GossamerError, ModelError

Timer = Callable[[str, int], PairedTiming]
"""Times an artifact beside its baseline: its name, and which run this is (0, then 1) -> the paired ratios."""
LATENCY = "latency_vs_baseline"


@dataclass(frozen=True, slots=True)
class Bench:
    """Where artifacts are timed in pairs; ``why`` says why nothing can be, and is empty where it can."""

    time: Timer
    why: str = ""


def no_bench(why: str) -> Bench:
    """A bench that times nothing."""

    def refuse(_: str, __: int) -> PairedTiming:
        raise ModelError(why)

    return Bench(refuse, why)


def compare_costs(params: GateParams, new: Measured, old: Measured, name: str) -> Iterator[Check]:
    """Growth of size, memory and instructions."""
    size = _growth(figure(new, name, "size_bytes"), figure(old, name, "size_bytes"))
    yield limited("size_growth", name, size, params.max_size_growth, at_least=False)
    limits = {"peak_rss_bytes": ("memory_growth", params.max_memory_growth)}
    instructions = params.max_instruction_growth.get(name.partition("-")[0])
    if instructions is not None:
        limits["arm64_instructions"] = ("instruction_growth", instructions)
        limits["arm64_instructions_a53"] = ("instruction_growth_a53", instructions)
    for key, (check, limit) in limits.items():
        if figure(old, name, key) is not None:  # what the baseline never had is no question
            growth = _growth(figure(new, name, key), figure(old, name, key))
            yield limited(check, name, growth, limit, at_least=False)


def compare_latency(
    params: GateParams, new: Measured, old: Measured, names: Sequence[str], bench: Bench
) -> Iterator[Check]:
    """A line an artifact that the baseline had a latency of; one for all that cannot be timed off their device."""
    untimed = []
    for name in names:
        if figure(old, name, "latency_p50_ms") is None and figure(new, name, "latency_p50_ms") is None:
            untimed.append(name)
        else:
            yield _latency(params, new, old, name, bench)
    if untimed:
        why = _why_untimed(new, untimed[0]) or "neither run could time them"
        yield unmeasured(UNTIMED, EVERYTHING, f"{', '.join(untimed)}: {why}")


def _latency(params: GateParams, new: Measured, old: Measured, name: str, bench: Bench) -> Check:
    """Growth of the latency (``benchmarks.latency.side_by_side``): a slowdown fails when it shows in two runs."""
    limit = params.latency.fail
    if same_file(new, old, name):
        return Check(name=LATENCY, artifact=name, value=0.0, limit=limit, verdict="pass", reason="the very same file")
    if figure(new, name, "latency_p50_ms") is None:
        return unmeasured(LATENCY, name, _why_untimed(new, name) or "the baseline was timed, this was not", limit)
    if bench.why:
        return unmeasured(LATENCY, name, bench.why, limit)
    try:
        found = judge_runs(lambda run: bench.time(name, run), params.latency.warn, params.latency.fail)
    except GossamerError as error:
        return unmeasured(LATENCY, name, str(error), limit)
    slower = None if found.value is None else found.value - 1
    return Check(name=LATENCY, artifact=name, value=slower, limit=limit, verdict=found.verdict, reason=found.reason)


def _why_untimed(measured: Measured, name: str) -> str:
    reasons = measured.get("unmeasured")
    why = reasons.get(f"artifacts.{name}.latency") if isinstance(reasons, Mapping) else None
    return str(why) if why else ""


def _growth(new: float | None, old: float | None) -> float | None:
    return new / old - 1 if new is not None and old else None

"""Compares the latency of a candidate and a baseline, interleaved in several fresh processes; decides on a slowdown.

Milliseconds measured at different times are not comparable on a machine that also does other work; the ratio of two
calls in immediate succession is. A process runs both artifacts on the same frame in random order and keeps the median
ratio. But each process has a bias for its whole life (up to 2.7 % between identical artifacts, depending on its memory
layout and on which artifact it loaded first). So there are several processes that alternate in what they load first,
and the median of their medians is the ratio of a run. A slowdown fails only if two such runs show it.

``compare_latency`` starts ``python -m benchmarks.latency.side_by_side REQUEST RESULT`` once per process. Timings are
``time.perf_counter_ns`` around the call. Writes nothing else.
"""

from __future__ import annotations

import math
import random
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from benchmarks.latency.isolated_process import ProcessRequest, main_isolated, run_isolated
from pipeline.data.records import Outcome, Record

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
Load = Callable[[Path, int], Predict]
Clock = Callable[[], int]
TIMEOUT_S = 600
WARN, FAIL = 0.02, 0.04
_RECENT = 31


class PairedRequest(Record):
    """Two artifacts of one format, and how to compare them.

    Attributes:
        format: Format of both.
        candidate: Model file or package.
        baseline: Model file or package.
        frames: .npy file of RGB frames for both, uint8 (n, height, width, 3).
        threads: Threads of each artifact.
        warmup: Pairs that are run but not timed.
        pairs: Timed pairs per process.
        processes: Processes per run.
        seed: Seed of the loading order and of the order within each pair.
        slowdown: Tests the rule: slows the candidate down by this share of its own median time.
    """

    format: str
    candidate: Path
    baseline: Path
    frames: Path
    threads: int
    warmup: int
    pairs: int
    processes: int = 9
    seed: int
    slowdown: float = 0.0


class NumberedRequest(Record):
    """One of the processes of a run, by its number."""

    request: PairedRequest
    number: int


class ProcessTiming(Record):
    """Result of one process: median over pairs of the candidate's time divided by the baseline's, and both medians."""

    ratio: float
    candidate_p50_ms: float
    baseline_p50_ms: float


class PairedTiming(Record):
    """Result of a run: one ratio per process; the milliseconds are medians over processes."""

    ratios: tuple[float, ...]
    candidate_p50_ms: float
    baseline_p50_ms: float

    @property
    def median_ratio(self) -> float:
        """The candidate's time divided by the baseline's, median over processes; NaN without processes."""
        return median(self.ratios) if self.ratios else math.nan


@dataclass(frozen=True, slots=True)
class Slowdown:
    """Decision on one or several runs.

    Attributes:
        verdict: "unmeasured" where the runs so far are not enough.
        value: The candidate's time divided by the baseline's: the smallest of the runs, because all must fail.
        reason: Explanation, including a warning.
        needs_second_run: Whether the first run alone does not decide.
        warned: Passed with a warning.
    """

    verdict: Outcome
    value: float | None
    reason: str
    needs_second_run: bool = False
    warned: bool = False


def compare_latency(request: PairedRequest) -> PairedTiming:
    """Time both artifacts in ``request.processes`` fresh processes, one after the other.

    Raises:
        ModelError: A process could not load or run an artifact, or took longer than ``TIMEOUT_S``.
    """
    return combine_processes([time_process(request, number) for number in range(request.processes)])


def time_process(request: PairedRequest, number: int) -> ProcessTiming:
    """Time both artifacts in one fresh process.

    Raises:
        ModelError: As ``compare_latency``.
    """
    module, remedy = "benchmarks.latency.side_by_side", "lower params.yaml gate.latency.pairs"
    process = ProcessRequest(module, request.candidate, request.format, request.threads, TIMEOUT_S, remedy)
    return run_isolated(process, NumberedRequest(request=request, number=number), ProcessTiming)


def combine_processes(processes: Sequence[ProcessTiming]) -> PairedTiming:
    """Combine the processes of a run."""
    return PairedTiming(
        ratios=tuple(process.ratio for process in processes),
        candidate_p50_ms=median(process.candidate_p50_ms for process in processes),
        baseline_p50_ms=median(process.baseline_p50_ms for process in processes),
    )


def judge_slowdown(timings: Sequence[PairedTiming], warn: float = WARN, fail: float = FAIL) -> Slowdown:
    """Decide on the runs so far: fails only if there are at least two and all are more than ``fail`` slower.

    A single run above ``fail`` does not decide and sets ``needs_second_run``. A slowdown of more than ``warn`` passes
    with a warning.
    """
    ratios = [timing.median_ratio for timing in timings]
    if not ratios or not all(math.isfinite(ratio) and ratio > 0 for ratio in ratios):
        return Slowdown("unmeasured", None, "there are no timings to compare; run dvc repro gate again")
    least = min(ratios)
    measured = f"an inference is {_percent(least - 1)} than the baseline's in {_describe_runs(timings)}"
    too_slow = f"{measured}; gate.latency.fail allows {100 * fail:.3g} %"
    if least > 1 + fail and len(ratios) == 1:
        return Slowdown("unmeasured", least, f"{too_slow}; to be measured again", needs_second_run=True)
    if least > 1 + fail:
        return Slowdown("fail", least, too_slow)
    if least > 1 + warn:
        return Slowdown("pass", least, f"warning: {measured}; gate.latency.warn is {100 * warn:.3g} %", warned=True)
    return Slowdown("pass", least, measured)


def judge_runs(measure: Callable[[int], PairedTiming], warn: float = WARN, fail: float = FAIL) -> Slowdown:
    """Decide on run 0 and, where it does not decide alone, on runs 0 and 1; ``measure`` takes the run's number."""
    timings = [measure(0)]
    decision = judge_slowdown(timings, warn, fail)
    if decision.needs_second_run:
        timings.append(measure(1))
        decision = judge_slowdown(timings, warn, fail)
    return decision


def time_pairs(numbered: NumberedRequest, load: Load, clock: Clock = time.perf_counter_ns) -> ProcessTiming:
    """Load both artifacts and time them alternately, in this process.

    Processes with even and odd numbers load another artifact first; the seed decides which.
    """
    request, number = numbered.request, numbered.number
    order = random.Random(f"{request.seed}/{number}")  # noqa: S311 - not for security
    frames = np.load(request.frames)
    paths = [request.candidate, request.baseline]
    first = (number + random.Random(request.seed).randrange(2)) % 2  # noqa: S311
    loaded = {index: load(paths[index], request.threads) for index in (first, 1 - first)}
    candidate, baseline = loaded[0], loaded[1]
    if request.slowdown:
        candidate = slow_down(candidate, request.slowdown, clock)
    for index in range(request.warmup):
        candidate(frames[index % len(frames)])
        baseline(frames[index % len(frames)])
    both = candidate, baseline
    pairs = [_time_pair(both, frames[index % len(frames)], order, clock) for index in range(request.pairs)]
    return ProcessTiming(
        ratio=median(candidate_ns / baseline_ns for candidate_ns, baseline_ns in pairs),
        candidate_p50_ms=median(candidate_ns for candidate_ns, _ in pairs) / 1e6,
        baseline_p50_ms=median(baseline_ns for _, baseline_ns in pairs) / 1e6,
    )


def slow_down(predict: Predict, share: float, clock: Clock) -> Predict:
    """Make an artifact slower by a share of its own time: it waits actively after each inference.

    The share is of the median of its last calls, this one included, so it follows the speed of the machine as a slower
    graph would, but not the outliers of single calls.
    """
    recent: deque[int] = deque(maxlen=_RECENT)

    def slower(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        started = clock()
        probabilities = predict(frame)
        done = clock()
        recent.append(done - started)
        until = done + round(share * median(recent))
        while clock() < until:
            pass
        return probabilities

    return slower


def main(arguments: Sequence[str]) -> int:
    """Entry point of each process of a run."""
    from export.formats import open_format

    return main_isolated(
        arguments, NumberedRequest, lambda numbered: time_pairs(numbered, open_format(numbered.request.format).load)
    )


def _time_pair(
    both: tuple[Predict, Predict], frame: NDArray[np.uint8], order: random.Random, clock: Clock
) -> tuple[int, int]:
    """Nanoseconds of the candidate and of the baseline on one frame, in random order."""
    first = order.randrange(2)
    nanoseconds = {index: _time_call(both[index], frame, clock) for index in (first, 1 - first)}
    return nanoseconds[0], nanoseconds[1]


def _time_call(predict: Predict, frame: NDArray[np.uint8], clock: Clock) -> int:
    started = clock()
    predict(frame)
    return max(clock() - started, 1)


def _percent(slower: float) -> str:
    return f"{100 * abs(slower):.1f} % {'slower' if slower > 0 else 'faster'}"


def _describe_runs(timings: Sequence[PairedTiming]) -> str:
    """Number of runs, and of processes in each."""
    count = len(timings[0].ratios)
    runs = "one run" if len(timings) == 1 else f"the better of {len(timings)} runs"
    return f"{runs} of {count} process{'es' if count != 1 else ''}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Is a candidate slower than the baseline? Both in one process, interleaved, in several fresh processes; and the rule.

Milliseconds taken at different times cannot be compared on a machine that does other things too; the ratio of two calls
made one after the other can. A process asks both artifacts the same frame, in random order, and keeps the median of the
ratios. But a process carries a bias of its own for as long as it lives (up to 2.7 % between identical artifacts, from
where its memory happens to lie and which artifact was loaded first), so there are several, they take turns in which
artifact they load first, and the median of their medians is judged. A slowdown must show in two such runs to fail.

``compare_latency`` starts ``python -m benchmarks.latency.side_by_side REQUEST ANSWER`` once a process. Timings are
``time.perf_counter_ns`` around the call; writes nothing else.
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

from benchmarks.latency.isolated_process import Errand, ask, serve
from pipeline.data.hashing import sha256_of
from pipeline.data.records import Outcome, Record

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
Load = Callable[[Path, int], Predict]
Clock = Callable[[], int]
TIMEOUT_S = 600
WARN, FAIL = 0.02, 0.04
_RECENT = 31


class PairedRequest(Record):
    """Two artifacts of one format, and how they are compared.

    Attributes:
        frames: .npy file, uint8 (n, height, width, 3) RGB, for both.
        warmup: Pairs that are not counted.
        pairs: In each process.
        seed: Of who loads first and of the order within each pair.
        slowdown: Only to test the rule itself: the candidate is made slower by this share of its own median time.
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


class ProcessRequest(Record):
    """One of the processes, by its number."""

    request: PairedRequest
    number: int


class ProcessTiming(Record):
    """What one process found: the median over its pairs of the candidate's time by the baseline's, and both medians."""

    ratio: float
    candidate_p50_ms: float
    baseline_p50_ms: float


class PairedTiming(Record):
    """What all processes found; ``ratios`` has one entry a process, the milliseconds are medians over processes."""

    ratios: tuple[float, ...]
    candidate_p50_ms: float
    baseline_p50_ms: float

    @property
    def median_ratio(self) -> float:
        """How many times the baseline's time the candidate takes; NaN for no processes."""
        return median(self.ratios) if self.ratios else math.nan


@dataclass(frozen=True, slots=True)
class Slowdown:
    """What the rule says.

    Attributes:
        verdict: "unmeasured" where the runs so far do not decide.
        value: The candidate's time by the baseline's: of several runs the least, because a failure must show in all.
        reason: In words, a warning included.
        again: Another run is needed.
        warned: Passed, but slower than is passed over in silence.
    """

    verdict: Outcome
    value: float | None
    reason: str
    again: bool = False
    warned: bool = False


def compare_latency(request: PairedRequest) -> PairedTiming:
    """Time both artifacts in ``request.processes`` fresh processes, one after the other.

    Raises:
        ModelError: A process could not load or run an artifact, or took longer than ``TIMEOUT_S``.
    """
    return gather([time_process(request, number) for number in range(request.processes)])


def time_process(request: PairedRequest, number: int) -> ProcessTiming:
    """Time both artifacts in one fresh process.

    Raises:
        ModelError: As ``compare_latency``.
    """
    errand = Errand(
        "benchmarks.latency.side_by_side", request.candidate, request.format, request.threads, TIMEOUT_S, "pairs"
    )
    return ask(errand, ProcessRequest(request=request, number=number), ProcessTiming)


def gather(processes: Sequence[ProcessTiming]) -> PairedTiming:
    """Put processes together."""
    return PairedTiming(
        ratios=tuple(each.ratio for each in processes),
        candidate_p50_ms=median(each.candidate_p50_ms for each in processes),
        baseline_p50_ms=median(each.baseline_p50_ms for each in processes),
    )


def judge_slowdown(timings: Sequence[PairedTiming], warn: float = WARN, fail: float = FAIL) -> Slowdown:
    """Judge one run, or the runs so far: only what is more than ``fail`` slower in two runs, and in all, fails.

    One run above ``fail`` decides nothing: ``again`` asks for a second. More than ``warn`` is told in the reason.
    """
    ratios = [timing.median_ratio for timing in timings]
    if not ratios or not all(math.isfinite(ratio) and ratio > 0 for ratio in ratios):
        return Slowdown("unmeasured", None, "there are no timings to compare")
    least = min(ratios)
    seen = f"{_told(least - 1)} than the baseline in {_runs(timings)}"
    if least > 1 + fail and len(ratios) == 1:
        return Slowdown("unmeasured", least, f"{seen}: above {fail:.1%}, to be measured again", again=True)
    if least > 1 + fail:
        return Slowdown("fail", least, f"{seen}: above {fail:.1%} in each")
    if least > 1 + warn:
        return Slowdown("pass", least, f"warning: {seen}: above {warn:.1%}", warned=True)
    return Slowdown("pass", least, seen)


def decide_slowdown(
    request: PairedRequest,
    warn: float = WARN,
    fail: float = FAIL,
    compare: Callable[[PairedRequest], PairedTiming] = compare_latency,
) -> Slowdown:
    """Compare two artifacts as often as the rule asks; the same bytes are as fast as each other without a clock.

    Raises:
        ModelError: As ``compare_latency``.
    """
    if not request.slowdown and sha256_of(request.candidate) == sha256_of(request.baseline):
        return Slowdown("pass", 1.0, "byte for byte the baseline's artifact: nothing to time")
    return judge_runs(lambda run: compare(request.model_copy(update={"seed": request.seed + run})), warn, fail)


def judge_runs(measure: Callable[[int], PairedTiming], warn: float = WARN, fail: float = FAIL) -> Slowdown:
    """Judge run 0, and run 1 as well where the first asks for it."""
    timings = [measure(0)]
    judged = judge_slowdown(timings, warn, fail)
    if judged.again:
        timings.append(measure(1))
        judged = judge_slowdown(timings, warn, fail)
    return judged


def take_pairs(asked: ProcessRequest, load: Load, clock: Clock = time.perf_counter_ns) -> ProcessTiming:
    """Load both artifacts and time them in turns, in this process.

    Odd processes load the other artifact first than even ones; the seed says which.
    """
    request, chance = asked.request, random.Random(f"{asked.request.seed}/{asked.number}")  # noqa: S311 - an order
    frames = np.load(request.frames)
    paths = [request.candidate, request.baseline]
    first = (asked.number + random.Random(request.seed).randrange(2)) % 2  # noqa: S311
    loaded = {at: load(paths[at], request.threads) for at in (first, 1 - first)}
    candidate, baseline = loaded[0], loaded[1]
    if request.slowdown:
        candidate = slowed(candidate, request.slowdown, clock)
    for at in range(request.warmup):
        candidate(frames[at % len(frames)])
        baseline(frames[at % len(frames)])
    pairs = [_pair((candidate, baseline), frames[at % len(frames)], chance, clock) for at in range(request.pairs)]
    return ProcessTiming(
        ratio=median(ours / theirs for ours, theirs in pairs),
        candidate_p50_ms=median(ours for ours, _ in pairs) / 1e6,
        baseline_p50_ms=median(theirs for _, theirs in pairs) / 1e6,
    )


def slowed(predict: Predict, share: float, clock: Clock) -> Predict:
    """Make an artifact slower by a share of its own time: after each answer it waits, busily.

    The share is of the median of its last calls, this one included: so it follows the machine's moods, as a slower
    graph would, and not the single call's accidents.
    """
    recent: deque[int] = deque(maxlen=_RECENT)

    def slower(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        started = clock()
        answer = predict(frame)
        done = clock()
        recent.append(done - started)
        until = done + round(share * median(recent))
        while clock() < until:
            pass
        return answer

    return slower


def main(arguments: Sequence[str]) -> int:
    """Be one of the processes."""
    from export.formats import open_format

    return serve(arguments, ProcessRequest, lambda asked: take_pairs(asked, open_format(asked.request.format).load))


def _pair(
    both: tuple[Predict, Predict], frame: NDArray[np.uint8], chance: random.Random, clock: Clock
) -> tuple[int, int]:
    """Nanoseconds of the candidate and of the baseline on one frame; who is asked first is drawn."""
    first = chance.randrange(2)
    found = {at: _timed(both[at], frame, clock) for at in (first, 1 - first)}
    return found[0], found[1]


def _timed(predict: Predict, frame: NDArray[np.uint8], clock: Clock) -> int:
    started = clock()
    predict(frame)
    return max(clock() - started, 1)


def _told(slower: float) -> str:
    return f"{abs(slower):.1%} {'slower' if slower > 0 else 'faster'}"


def _runs(timings: Sequence[PairedTiming]) -> str:
    """Name the runs and how many processes each had."""
    count = len(timings[0].ratios)
    runs = "one run" if len(timings) == 1 else f"the better of {len(timings)} runs"
    return f"{runs} of {count} process{'es' if count != 1 else ''}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

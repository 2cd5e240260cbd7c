"""The operating curve of the latency gate: how often slowdowns that were put in on purpose are caught, and warned of.

An artifact is compared with itself, slowed by a known share of its own time (``paired.slowed``), by the very rule and
the very processes the gate uses. 0 % shows the false alarms.

Two ways to have many runs. *Independent* (``pool`` 0): every run has fresh processes of its own; intervals are
Wilson's. *Resampled* (``pool`` M): M processes a slowdown are measured once, and each run draws its own from them with
replacement. That is cheaper, and says less: such runs share what the pool happened to be, and a mood of the machine
that lasts as long as a whole run is spread over all of them. So their interval is a bootstrap of the pool itself
(percentiles over pools drawn from it, Efron 1979), which more runs do not narrow, and ``independent`` is false. Where
no such pool ever fails it reads 0 to 0: how rare false alarms are is told by more processes of identical artifacts
(``benchmarks.experiments.gate_power.latency_false_alarms``).

Slowdowns take turns, so that a busy minute falls on all alike. Keeps each process it measured in
FOLDER/processes.jsonl: a run that was stopped goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.experiments.gate_power.latency_false_alarms import bound_false_alarms
from benchmarks.latency.side_by_side import (
    FAIL,
    WARN,
    PairedRequest,
    PairedTiming,
    ProcessTiming,
    Slowdown,
    gather,
    judge_runs,
    time_process,
)
from pipeline.data.hashing import sha256_of
from pipeline.data.records import Record
from pipeline.data.storage import read_rows, write_rows
from pipeline.metrics.statistics import wilson_interval

Tell = Callable[[int, int, str], None]
"""Says how far it is: (done, total, what it does now)."""
TimeProcess = Callable[[PairedRequest, int], ProcessTiming]
ROWS = "processes.jsonl"
_POOLS = 400
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Curve:
    """What is tried.

    Attributes:
        slowdowns: Shares of the artifact's own median time.
        runs: Of the gate, a slowdown.
        pool: Processes a slowdown that runs are drawn from; 0: every run measures its own.
        quiet: Processes of identical artifacts that bound false alarms; 0: they are not bounded.
        warn: As the gate's.
        fail: As the gate's.
        seed: Of the drawing.
    """

    runs: int
    pool: int = 0
    quiet: int = 0
    slowdowns: tuple[float, ...] = (0.0, 0.02, 0.05, 0.10)
    warn: float = WARN
    fail: float = FAIL
    seed: int = 0


class ProcessRow(Record):
    """A process that was measured; ``key`` names the artifacts and settings it belongs to."""

    key: str
    slowdown: float
    number: int
    timing: ProcessTiming


@dataclass(frozen=True, slots=True)
class Caught:
    """Of so many runs, the shares that failed and that passed with a warning, each as (share, low, high)."""

    runs: int
    caught: tuple[float, float, float]
    warned: tuple[float, float, float]
    median_ratio: float
    processes: int


class Shelf:
    """Measures a process, unless it stands there already."""

    def __init__(self, folder: Path, request: PairedRequest, measure: TimeProcess) -> None:
        self._path, self._request, self._measure = folder / ROWS, request, measure
        self._key = _key(request)
        rows = read_rows(self._path, ProcessRow) if self._path.is_file() else []
        self._rows = {(row.slowdown, row.number): row for row in rows if row.key == self._key}

    def process(self, slowdown: float, number: int) -> ProcessTiming:
        """Get process ``number`` of those with this slowdown."""
        if (slowdown, number) not in self._rows:
            timing = self._measure(self._request.model_copy(update={"slowdown": slowdown}), number)
            row = ProcessRow(key=self._key, slowdown=slowdown, number=number, timing=timing)
            self._rows[slowdown, number] = row
            write_rows(self._path, self._rows.values())
        return self._rows[slowdown, number].timing

    def run(self, slowdown: float, number: int) -> PairedTiming:
        """Get a run of the gate: as many processes as the request says, in their order."""
        size = self._request.processes
        return gather([self.process(slowdown, number * size + at) for at in range(size)])

    def ratios(self, slowdown: float) -> list[float]:
        """All that was found of one slowdown."""
        return [row.timing.ratio for (share, _), row in self._rows.items() if share == slowdown]


def operating_curve(
    request: PairedRequest, curve: Curve, folder: Path, tell: Tell, measure: TimeProcess = time_process
) -> dict[str, Any]:
    """Measure and rate; figures for metrics, slowdowns as ``"0.05"``.

    Raises:
        ModelError: A process could not load or run the artifact.
    """
    shelf = Shelf(folder, request, measure)
    found = _resampled(shelf, request, curve, tell) if curve.pool else _independent(shelf, curve, tell)
    return {
        "slowdown_caught": {name: rated.caught[0] for name, rated in found.items()},
        "slowdowns": {name: _figures(rated) for name, rated in found.items()},
        "slowdown_false_alarms": _false_alarms(shelf, request, curve, tell) if curve.quiet else None,
        "slowdown_settings": {
            "independent": not curve.pool,
            "processes_per_run": request.processes,
            "pairs_per_process": request.pairs,
            "warn": curve.warn,
            "fail": curve.fail,
        },
    }


def judge_medians(
    first: NDArray[np.float64], second: NDArray[np.float64], warn: float, fail: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Apply ``paired.judge_slowdown`` to many runs at once.

    Args:
        first: Median ratio of each first run, float64, any shape.
        second: Of the run that is made where the first is above ``fail``.
        warn: Share that is warned of.
        fail: Share that fails where both runs exceed it.

    Returns:
        Which fail, and which pass with a warning.
    """
    least = np.where(first > 1 + fail, np.minimum(first, second), first)
    return least > 1 + fail, (least > 1 + warn) & (least <= 1 + fail)


def _false_alarms(shelf: Shelf, request: PairedRequest, curve: Curve, tell: Tell) -> dict[str, Any]:
    ratios = []
    for number in range(curve.quiet):
        tell(number, curve.quiet, f"identical artifacts, process {number + 1}")
        ratios.append(shelf.process(0.0, number).ratio)
    return bound_false_alarms(ratios, request.processes, curve.fail, _CONFIDENCE)


def _independent(shelf: Shelf, curve: Curve, tell: Tell) -> dict[str, Caught]:
    judged: dict[float, list[Slowdown]] = {slowdown: [] for slowdown in curve.slowdowns}
    for done, (run, slowdown) in enumerate(_turns(curve.runs, curve.slowdowns)):
        tell(done, curve.runs * len(curve.slowdowns), f"slowdown of {slowdown:.0%}, run {run + 1}")

        def measure(again: int, slowdown: float = slowdown, run: int = run) -> PairedTiming:
            return shelf.run(slowdown, 2 * run + again)

        judged[slowdown].append(judge_runs(measure, curve.warn, curve.fail))
    return {
        f"{slowdown:.2f}": Caught(
            len(runs),
            _share(sum(each.verdict == "fail" for each in runs), len(runs)),
            _share(sum(each.warned for each in runs), len(runs)),
            *_middle(shelf.ratios(slowdown)),
        )
        for slowdown, runs in judged.items()
    }


def _resampled(shelf: Shelf, request: PairedRequest, curve: Curve, tell: Tell) -> dict[str, Caught]:
    pools: dict[float, list[float]] = {slowdown: [] for slowdown in curve.slowdowns}
    for done, (number, slowdown) in enumerate(_turns(curve.pool, curve.slowdowns)):
        tell(done, curve.pool * len(curve.slowdowns), f"slowdown of {slowdown:.0%}, process {number + 1}")
        pools[slowdown].append(shelf.process(slowdown, number).ratio)
    chance = np.random.default_rng(curve.seed)
    return {
        f"{slowdown:.2f}": _rate_pool(np.array(pool), request.processes, curve, chance)
        for slowdown, pool in pools.items()
    }


def _rate_pool(pool: NDArray[np.float64], processes: int, curve: Curve, chance: np.random.Generator) -> Caught:
    caught, warned = _draw_runs(pool, processes, curve, chance)
    others = np.array([_draw_runs(chance.choice(pool, len(pool)), processes, curve, chance) for _ in range(_POOLS)])
    ends = np.quantile(others, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2], axis=0)
    return Caught(
        curve.runs,
        (caught, float(ends[0, 0]), float(ends[1, 0])),
        (warned, float(ends[0, 1]), float(ends[1, 1])),
        *_middle(pool.tolist()),
    )


def _draw_runs(
    pool: NDArray[np.float64], processes: int, curve: Curve, chance: np.random.Generator
) -> tuple[float, float]:
    """Shares of ``curve.runs`` runs, drawn from a pool, that fail and that are warned of."""
    first, second = np.median(chance.choice(pool, (2, curve.runs, processes)), axis=2)
    caught, warned = judge_medians(first, second, curve.warn, curve.fail)
    return float(caught.mean()), float(warned.mean())


def _turns(count: int, slowdowns: Sequence[float]) -> Iterator[tuple[int, float]]:
    return ((number, slowdown) for number in range(count) for slowdown in slowdowns)


def _share(count: int, total: int) -> tuple[float, float, float]:
    low, high = wilson_interval(count, total, _CONFIDENCE)
    return count / total, low, high


def _middle(ratios: Sequence[float]) -> tuple[float, int]:
    return median(ratios), len(ratios)


def _figures(rated: Caught) -> dict[str, float]:
    names = ("", "_low", "_high")
    return {
        **{f"caught{name}": value for name, value in zip(names, rated.caught, strict=True)},
        **{f"warned{name}": value for name, value in zip(names, rated.warned, strict=True)},
        "median_ratio": rated.median_ratio,
        "runs": rated.runs,
        "processes": rated.processes,
    }


def _key(request: PairedRequest) -> str:
    """Hash what a process's ratio depends on, artifacts by their bytes rather than by their place."""
    settings = request.model_dump_json(exclude={"candidate", "baseline", "frames", "slowdown", "processes"})
    files = [sha256_of(path) for path in (request.candidate, request.baseline, request.frames)]
    return hashlib.sha256("\n".join([settings, *files]).encode()).hexdigest()

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

Slowdowns take turns, so that a busy minute falls on all alike. Keeps the timing of each process in
FOLDER/processes.work/ (``pipeline.data.work_cache``): a run that was stopped resumes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.experiments.gate_power.latency_false_alarms import bound_false_alarms
from benchmarks.latency import side_by_side
from benchmarks.latency.side_by_side import (
    FAIL,
    WARN,
    PairedRequest,
    PairedTiming,
    ProcessTiming,
    Slowdown,
    combine_processes,
    judge_runs,
    time_process,
)
from export.formats import open_format
from pipeline.data.records import Record
from pipeline.data.storage import read_json
from pipeline.data.work_cache import WorkCache, open_work, work_key
from pipeline.metrics.statistics import wilson_interval

Tell = Callable[[int, int, str], None]
"""Says how far it is: (done, total, what it does now)."""
TimeProcess = Callable[[PairedRequest, int], ProcessTiming]
WORK = "processes.work"
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
    """Timing of one process: number ``number`` of those with this slowdown."""

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


class ProcessCache:
    """Timings of processes, on disk; a process that has none yet is measured.

    Args:
        folder: The work area lies in FOLDER/processes.work.
        request: The artifacts and how they are compared; ``slowdown`` is set for each process.
        measure: Times one process.
    """

    def __init__(self, folder: Path, request: PairedRequest, measure: TimeProcess) -> None:
        self._request, self._measure = request, measure
        self._cache: WorkCache = open_work(folder / WORK, _work_key(request))
        rows = [read_json(path, ProcessRow) for path in sorted(self._cache.folder.glob("*.json"))]
        self._rows = {(row.slowdown, row.number): row for row in rows}

    def process(self, slowdown: float, number: int) -> ProcessTiming:
        """Return the timing of process ``number`` of those with this slowdown."""
        if (slowdown, number) not in self._rows:
            timing = self._measure(self._request.model_copy(update={"slowdown": slowdown}), number)
            row = ProcessRow(slowdown=slowdown, number=number, timing=timing)
            self._rows[slowdown, number] = row
            with self._cache.write(f"{slowdown}-{number}.json") as file:
                file.write(row.model_dump_json().encode())
        return self._rows[slowdown, number].timing

    def run(self, slowdown: float, number: int) -> PairedTiming:
        """Return one run of the gate: ``request.processes`` processes, in order of their numbers."""
        size = self._request.processes
        return combine_processes([self.process(slowdown, number * size + at) for at in range(size)])

    def ratios(self, slowdown: float) -> list[float]:
        """Return the ratios of all measured processes with one slowdown."""
        return [row.timing.ratio for (share, _), row in self._rows.items() if share == slowdown]


def operating_curve(
    request: PairedRequest, curve: Curve, folder: Path, tell: Tell, measure: TimeProcess = time_process
) -> dict[str, Any]:
    """Measure and rate; figures for metrics, slowdowns as ``"0.05"``.

    Raises:
        ModelError: A process could not load or run the artifact.
    """
    cache = ProcessCache(folder, request, measure)
    found = _resampled(cache, request, curve, tell) if curve.pool else _independent(cache, curve, tell)
    return {
        "slowdown_caught": {name: rated.caught[0] for name, rated in found.items()},
        "slowdowns": {name: _figures(rated) for name, rated in found.items()},
        "slowdown_false_alarms": _false_alarms(cache, request, curve, tell) if curve.quiet else None,
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


def _false_alarms(cache: ProcessCache, request: PairedRequest, curve: Curve, tell: Tell) -> dict[str, Any]:
    ratios = []
    for number in range(curve.quiet):
        tell(number, curve.quiet, f"identical artifacts, process {number + 1}")
        ratios.append(cache.process(0.0, number).ratio)
    return bound_false_alarms(ratios, request.processes, curve.fail, _CONFIDENCE)


def _independent(cache: ProcessCache, curve: Curve, tell: Tell) -> dict[str, Caught]:
    judged: dict[float, list[Slowdown]] = {slowdown: [] for slowdown in curve.slowdowns}
    for done, (run, slowdown) in enumerate(_turns(curve.runs, curve.slowdowns)):
        tell(done, curve.runs * len(curve.slowdowns), f"slowdown of {slowdown:.0%}, run {run + 1}")

        def measure(again: int, slowdown: float = slowdown, run: int = run) -> PairedTiming:
            return cache.run(slowdown, 2 * run + again)

        judged[slowdown].append(judge_runs(measure, curve.warn, curve.fail))
    return {
        f"{slowdown:.2f}": Caught(
            len(runs),
            _share(sum(each.verdict == "fail" for each in runs), len(runs)),
            _share(sum(each.warned for each in runs), len(runs)),
            *_middle(cache.ratios(slowdown)),
        )
        for slowdown, runs in judged.items()
    }


def _resampled(cache: ProcessCache, request: PairedRequest, curve: Curve, tell: Tell) -> dict[str, Caught]:
    pools: dict[float, list[float]] = {slowdown: [] for slowdown in curve.slowdowns}
    for done, (number, slowdown) in enumerate(_turns(curve.pool, curve.slowdowns)):
        tell(done, curve.pool * len(curve.slowdowns), f"slowdown of {slowdown:.0%}, process {number + 1}")
        pools[slowdown].append(cache.process(slowdown, number).ratio)
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


def _work_key(request: PairedRequest) -> str:
    """Hash what a process's ratio depends on: artifacts by their bytes, settings, runtime and the code that times."""
    files = (request.candidate, request.baseline, request.frames)
    settings = request.model_dump(mode="json", exclude={"candidate", "baseline", "frames", "slowdown", "processes"})
    artifact_format = open_format(request.format)
    modules = (side_by_side.__name__, f"export.formats.{request.format}")
    return work_key({"files": files, "settings": settings}, modules, artifact_format.TOOLS)

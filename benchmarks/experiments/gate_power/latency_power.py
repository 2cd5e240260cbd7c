"""Power curve of the latency gate: how often it fails and warns for slowdowns of known size.

An artifact is compared with itself, slowed down by a known share of its own time (``side_by_side.slow_down``), with the
rule and the processes of the gate. A slowdown of 0 % gives the false alarms.

Runs are obtained in one of two ways. *Independent* (``pool`` 0): every run has its own processes; intervals are
Wilson's. *Resampled* (``pool`` M): M processes per slowdown are measured once, and each run draws its processes from
them with replacement. That is cheaper but says less: all runs share the pool, and a slow phase of the machine that
lasts as long as a run is spread over all of them. So the interval is a bootstrap of the pool (percentiles over pools
drawn from it, Efron 1979), which more runs do not narrow. If no such pool ever fails, the interval is 0 to 0: more
processes with identical artifacts then bound the rate of false alarms (``latency_false_alarms``).

Slowdowns alternate, so that a slow phase of the machine affects all alike. Caches the timing of each process in
FOLDER/processes.work/ (``pipeline.data.work_cache``), from which an interrupted run resumes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation.estimates import Estimate
from benchmarks.experiment_harness.results import ResultRecord
from benchmarks.experiment_harness.workspace import ReportProgress
from benchmarks.experiments.gate_power.latency_false_alarms import FalseAlarmBound, bound_false_alarms
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

TimeProcess = Callable[[PairedRequest, int], ProcessTiming]
WORK = "processes.work"
_POOLS = 400
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class PowerConfig:
    """What is measured.

    Attributes:
        runs: Gate runs per slowdown.
        pool: Processes per slowdown that runs draw from; 0: every run measures its own.
        identical_processes: Processes with identical artifacts that bound the false alarms; 0: no bound.
        slowdowns: Slowdowns as shares of the artifact's own median time.
        warn: Slowdown above which the gate warns.
        fail: Slowdown above which the gate fails.
        seed: Seed of the draws from a pool.
    """

    runs: int
    pool: int = 0
    identical_processes: int = 0
    slowdowns: tuple[float, ...] = (0.0, 0.02, 0.05, 0.10)
    warn: float = WARN
    fail: float = FAIL
    seed: int = 0


class ProcessRow(Record):
    """Timing of one process: number ``number`` of those with this slowdown."""

    slowdown: float
    number: int
    timing: ProcessTiming


class SlowdownResult(ResultRecord):
    """One slowdown.

    Attributes:
        caught: Share of runs that fail.
        warned: Share of runs that pass with a warning.
        median_ratio: Median ratio of its processes.
        runs: Number of runs.
        processes: Number of measured processes.
    """

    caught: Estimate
    warned: Estimate
    median_ratio: float
    runs: int
    processes: int


class PowerSettings(ResultRecord):
    """How the runs were made; ``independent`` is false if they draw from a pool."""

    independent: bool
    processes_per_run: int
    pairs_per_process: int
    warn: float
    fail: float


class LatencyPower(ResultRecord):
    """Power of the latency gate; slowdowns are texts such as "0.05".

    Attributes:
        slowdown_caught: Slowdown -> share of runs that fail; None where not measured.
        slowdowns: Slowdown -> result.
        slowdown_false_alarms: Bound on false alarms; None where not measured.
        slowdown_settings: How the runs were made.
    """

    slowdown_caught: dict[str, float | None]
    slowdowns: dict[str, SlowdownResult] | None = None
    slowdown_false_alarms: FalseAlarmBound | None
    slowdown_settings: PowerSettings | None = None


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
        rows = [read_json(self._cache.path(name), ProcessRow) for name in self._cache.names()]
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


def measure_power(
    request: PairedRequest,
    config: PowerConfig,
    folder: Path,
    report_progress: ReportProgress,
    measure: TimeProcess = time_process,
) -> LatencyPower:
    """Measure how often slowdowns are caught.

    Args:
        request: The artifact, as candidate and as baseline.
        config: Slowdowns, and numbers of runs and processes.
        folder: Parent of the work area.
        report_progress: Called for every run or process.
        measure: Times one process.

    Raises:
        ModelError: A process could not load or run the artifact.
    """
    cache = ProcessCache(folder, request, measure)
    if config.pool:
        slowdowns = _resampled_runs(cache, request, config, report_progress)
    else:
        slowdowns = _independent_runs(cache, config, report_progress)
    bound = _bound_false_alarms(cache, request, config, report_progress) if config.identical_processes else None
    return LatencyPower(
        slowdown_caught={name: result.caught.value for name, result in slowdowns.items()},
        slowdowns=slowdowns,
        slowdown_false_alarms=bound,
        slowdown_settings=PowerSettings(
            independent=not config.pool,
            processes_per_run=request.processes,
            pairs_per_process=request.pairs,
            warn=config.warn,
            fail=config.fail,
        ),
    )


def judge_medians(
    first: NDArray[np.float64], second: NDArray[np.float64], warn: float, fail: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Apply ``side_by_side.judge_slowdown`` to many runs at once.

    Args:
        first: Median ratio of each first run, float64, any shape.
        second: Median ratio of the second run, which counts where the first is above ``fail``.
        warn: Slowdown above which the gate warns.
        fail: Slowdown above which the gate fails if both runs exceed it.

    Returns:
        Which runs fail, and which pass with a warning: bool, same shape.
    """
    least = np.where(first > 1 + fail, np.minimum(first, second), first)
    return least > 1 + fail, (least > 1 + warn) & (least <= 1 + fail)


def _bound_false_alarms(
    cache: ProcessCache, request: PairedRequest, config: PowerConfig, report_progress: ReportProgress
) -> FalseAlarmBound:
    ratios = []
    for number in range(config.identical_processes):
        report_progress(number, config.identical_processes, f"identical artifacts, process {number + 1}")
        ratios.append(cache.process(0.0, number).ratio)
    return bound_false_alarms(ratios, request.processes, config.fail, _CONFIDENCE)


def _independent_runs(
    cache: ProcessCache, config: PowerConfig, report_progress: ReportProgress
) -> dict[str, SlowdownResult]:
    decisions: dict[float, list[Slowdown]] = {slowdown: [] for slowdown in config.slowdowns}
    for done, (run, slowdown) in enumerate(_alternate(config.runs, config.slowdowns)):
        report_progress(done, config.runs * len(config.slowdowns), f"slowdown of {slowdown:.0%}, run {run + 1}")

        def measure(attempt: int, slowdown: float = slowdown, run: int = run) -> PairedTiming:
            return cache.run(slowdown, 2 * run + attempt)

        decisions[slowdown].append(judge_runs(measure, config.warn, config.fail))
    return {
        f"{slowdown:.2f}": _slowdown_result(
            cache.ratios(slowdown),
            len(runs),
            _share(sum(decision.verdict == "fail" for decision in runs), len(runs)),
            _share(sum(decision.warned for decision in runs), len(runs)),
        )
        for slowdown, runs in decisions.items()
    }


def _resampled_runs(
    cache: ProcessCache, request: PairedRequest, config: PowerConfig, report_progress: ReportProgress
) -> dict[str, SlowdownResult]:
    pools: dict[float, list[float]] = {slowdown: [] for slowdown in config.slowdowns}
    for done, (number, slowdown) in enumerate(_alternate(config.pool, config.slowdowns)):
        report_progress(done, config.pool * len(config.slowdowns), f"slowdown of {slowdown:.0%}, process {number + 1}")
        pools[slowdown].append(cache.process(slowdown, number).ratio)
    random = np.random.default_rng(config.seed)
    return {
        f"{slowdown:.2f}": _bootstrap(np.array(pool), request.processes, config, random)
        for slowdown, pool in pools.items()
    }


def _bootstrap(
    pool: NDArray[np.float64], processes: int, config: PowerConfig, random: np.random.Generator
) -> SlowdownResult:
    values = _draw_runs(pool, processes, config, random)
    others = np.array([_draw_runs(random.choice(pool, len(pool)), processes, config, random) for _ in range(_POOLS)])
    ends = np.quantile(others, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2], axis=0)
    caught, warned = (
        Estimate(value=value, low=float(ends[0, column]), high=float(ends[1, column]))
        for column, value in enumerate(values)
    )
    return _slowdown_result(pool.tolist(), config.runs, caught, warned)


def _draw_runs(
    pool: NDArray[np.float64], processes: int, config: PowerConfig, random: np.random.Generator
) -> tuple[float, float]:
    """Draw ``config.runs`` runs from a pool of ratios; returns the shares that fail and that pass with a warning."""
    first, second = np.median(random.choice(pool, (2, config.runs, processes)), axis=2)
    caught, warned = judge_medians(first, second, config.warn, config.fail)
    return float(caught.mean()), float(warned.mean())


def _alternate(count: int, slowdowns: Sequence[float]) -> Iterator[tuple[int, float]]:
    return ((number, slowdown) for number in range(count) for slowdown in slowdowns)


def _share(count: int, total: int) -> Estimate:
    low, high = wilson_interval(count, total, _CONFIDENCE)
    return Estimate(value=count / total, low=low, high=high)


def _slowdown_result(ratios: Sequence[float], runs: int, caught: Estimate, warned: Estimate) -> SlowdownResult:
    return SlowdownResult(caught=caught, warned=warned, median_ratio=median(ratios), runs=runs, processes=len(ratios))


def _work_key(request: PairedRequest) -> str:
    """Hash what a process's ratio depends on: artifacts by their bytes, settings, runtime and the code that times."""
    files = (request.candidate, request.baseline, request.frames)
    settings = request.model_dump(mode="json", exclude={"candidate", "baseline", "frames", "slowdown", "processes"})
    artifact_format = open_format(request.format)
    modules = (side_by_side.__name__, f"export.formats.{request.format}")
    return work_key({"files": files, "settings": settings}, modules, artifact_format.TOOLS)

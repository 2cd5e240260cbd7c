"""Verdicts of the gate on the real pairs of ``damaged_models``, and the timing of the slower graph.

Reads the models, predictions and selfies in the work area; writes the timings of the slower graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation.measurement import ModelFile
from benchmarks.evaluation.predictions import Predictions, read_predictions
from benchmarks.experiment_harness.course import CHECKPOINT, SELFIES
from benchmarks.experiment_harness.training_run import PREDICTIONS
from benchmarks.experiments.gate_power.damaged_models import (
    FORMAT,
    HARMLESS,
    MODEL_FILE,
    PAIRS,
    RECIPE,
    SLOWER,
    SOUND,
    ModelPairsConfig,
)
from benchmarks.experiments.gate_power.verdict_rates import (
    VerdictRates,
    draw_subsets,
    judge_case,
    make_case,
    rate_verdicts,
)
from benchmarks.gate.checks.paired_accuracy import Change
from benchmarks.gate.checks.resource_growth import Bench, PairedMemory, closed_bench
from benchmarks.gate.checks.slices import find_slices
from benchmarks.latency.peak_memory import MemoryRequest, measure_peak_memory
from benchmarks.latency.side_by_side import PairedRequest, PairedTiming, compare_latency, judge_runs
from pipeline.config.params import GateParams, PairedLatencyParams
from pipeline.data.records import Record
from pipeline.data.shards import load_batch, read_index
from pipeline.data.storage import read_json, write_json
from pipeline.train.model import load_checkpoint

ARTIFACT = f"{FORMAT}-{RECIPE}"
TIMINGS = Path("timings.json")
_FRAMES = 32


@dataclass(frozen=True, slots=True)
class SubsetDraws:
    """Subsets of the pool: number of selfies, number of subsets, seed."""

    selfies: int
    count: int
    seed: int


class PairTimings(Record):
    """What the gate measures of one pair: one timing, or two where the first does not decide, and peak memory."""

    timings: tuple[PairedTiming, ...]
    candidate_peak_rss_bytes: int
    baseline_peak_rss_bytes: int


class RealPairResult(VerdictRates):
    """Verdicts on a real pair, and its difference on the whole pool.

    Attributes:
        baseline: Name of the baseline.
        worse: Whether the candidate is damaged.
        slower: Slowdown of the candidate, e.g. 0.2; None where it is not timed.
        accuracy: Accuracy of the candidate.
        baseline_accuracy: Accuracy of the baseline.
        points_lost: Accuracy lost, in points.
        worst_slice: The slice with the largest loss, among those that are large enough; None without such slices.
        worst_slice_points_lost: Its loss, in points.
    """

    baseline: str
    worse: bool
    slower: float | None
    accuracy: float
    baseline_accuracy: float
    points_lost: float
    worst_slice: str | None
    worst_slice_points_lost: float | None


def judge_real_pair(work: Path, name: str, limits: GateParams, draws: SubsetDraws) -> RealPairResult:
    """Judge subsets of the pool, and compare the two models on the whole pool.

    Args:
        work: Work area of the experiment.
        name: Name of the candidate.
        limits: Limits of the gate; its accuracy floor and required formats are ignored.
        draws: The subsets.
    """
    folders = [work / model for model in (name, PAIRS[name])]
    new, old = (read_predictions(folder / PREDICTIONS) for folder in folders)
    candidate, baseline = (read_json(folder / MODEL_FILE, ModelFile) for folder in folders)
    bench, slower = closed_bench("not timed", lambda _format: "this benchmark does not time it"), None
    if name == SLOWER:
        runs = read_json(folders[0] / TIMINGS, PairTimings)
        memory = PairedMemory(runs.candidate_peak_rss_bytes, runs.baseline_peak_rss_bytes)
        bench = Bench(lambda _, run: runs.timings[run], lambda _: memory)
        slower = min(timing.median_ratio for timing in runs.timings) - 1
    limits = limits.model_copy(update={"required": (FORMAT,), "min_accuracy": 0.0})
    subsets = draw_subsets(new, old, draws.selfies, draws.count, draws.seed)
    verdicts = [judge_case(limits, make_case(subset, (candidate, baseline), bench)) for subset in subsets]
    before, after = (table.decisions(ARTIFACT) == table.targets for table in (old, new))
    losses = _slice_losses(limits, new, before, after)
    worst = max(losses, key=lambda slice_name: losses[slice_name]) if losses else None
    return RealPairResult(
        **dict(rate_verdicts(verdicts)),
        baseline=PAIRS[name],
        worse=name not in HARMLESS,
        slower=slower,
        accuracy=float(np.mean(after)),
        baseline_accuracy=float(np.mean(before)),
        points_lost=100 * float(np.mean(before) - np.mean(after)),
        worst_slice=worst,
        worst_slice_points_lost=losses[worst] if worst else None,
    )


def paired_request(models: ModelPairsConfig, latency: PairedLatencyParams, folder: Path, name: str) -> PairedRequest:
    """A model beside the sound one, timed as the gate does on the first selfies, which are written to ``folder``."""
    selfies = models.data / SELFIES
    frames = folder / "frames.npy"
    spec = load_checkpoint(models.path(SOUND) / CHECKPOINT).config.preprocess
    np.save(frames, load_batch(selfies, read_index(selfies)[:_FRAMES], spec))
    return PairedRequest(
        format=FORMAT,
        candidate=models.model(name).resolve(),
        baseline=models.model(SOUND).resolve(),
        frames=frames,
        threads=1,
        warmup=latency.warmup,
        pairs=latency.pairs,
        processes=latency.processes,
        seed=latency.seed,
    )


def time_slower_graph(models: ModelPairsConfig, latency: PairedLatencyParams) -> None:
    """Time the slower graph beside the sound one, and write the timings and the peak memory of both."""
    folder = models.path(SLOWER)
    request, timings = paired_request(models, latency, folder, SLOWER), []

    def compare(run: int) -> PairedTiming:
        timings.append(compare_latency(request.model_copy(update={"seed": request.seed + run})))
        return timings[-1]

    judge_runs(compare, latency.warn, latency.fail)
    settings = {"format": request.format, "frames": request.frames, "threads": request.threads}
    candidate, baseline = (
        measure_peak_memory(MemoryRequest.model_validate({**settings, "path": path})).peak_rss_bytes
        for path in (request.candidate, request.baseline)
    )
    record = PairTimings(timings=tuple(timings), candidate_peak_rss_bytes=candidate, baseline_peak_rss_bytes=baseline)
    write_json(folder / TIMINGS, record)


def _slice_losses(
    limits: GateParams, table: Predictions, before: NDArray[np.bool_], after: NDArray[np.bool_]
) -> dict[str, float]:
    """Points of accuracy lost in each slice that is large enough."""
    slices = find_slices(table.factors, limits.slice_pairs)
    return {
        name: -100 * Change.of(before[rows], after[rows]).difference
        for name, rows in slices.items()
        if len(rows) >= limits.min_slice_selfies
    }

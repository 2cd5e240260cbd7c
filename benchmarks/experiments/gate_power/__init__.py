"""Error rates of the gate: what it passes, catches and misses, on pairs of models whose difference is known.

- Simulated pairs (``simulated_pairs``): hundreds of each kind, at several numbers of selfies. Either nothing is worse
  (the same model exported again, or others with the same accuracy), or one thing is, by more than the margin of its
  check.
- Real pairs (``damaged_models``): a small model trained on rendered images, and nine others made from it, most of them
  damaged. All are tested on one pool of selfies; each verdict uses a subset of it.
- Artificial slowdowns (``latency_power``), timed with the gate's own rule.

A damage is caught if the verdict is fail. Unmeasured is neither a catch nor a false alarm: it holds a release back and
names the number of further selfies that would decide. The accuracy floor is off for real pairs, because the accuracy of
a model trained for minutes says nothing about the gate. Reads params.yaml and policies/; leaves its work in the work
area.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from benchmarks.evaluation.measurement import ModelFile
from benchmarks.evaluation.predictions import Predictions, read_predictions
from benchmarks.experiment_harness.course import (
    CHECKPOINT,
    IMAGES,
    KEPT,
    ROWS,
    SELFIES,
    Experiment,
    StageFolder,
    open_experiment,
)
from benchmarks.experiment_harness.results import ResultRecord
from benchmarks.experiment_harness.training_run import PREDICTIONS
from benchmarks.experiment_harness.workspace import ReportProgress, Step, run_gossamer, run_steps
from benchmarks.experiments.gate_power import damaged_models
from benchmarks.experiments.gate_power.damaged_models import (
    HARMLESS,
    MODEL_FILE,
    PAIRS,
    SLOWER,
    SOUND,
    ModelPairsConfig,
    Strengths,
)
from benchmarks.experiments.gate_power.latency_power import LatencyPower, PowerConfig, measure_power
from benchmarks.experiments.gate_power.simulated_pairs import DAMAGES, FORMAT, NO_REGRESSION, Effect, draw_selfies
from benchmarks.experiments.gate_power.verdict_rates import (
    VerdictRates,
    draw_subsets,
    judge_case,
    judge_simulated,
    make_case,
    rate_verdicts,
)
from benchmarks.gate.checks.paired_accuracy import Change
from benchmarks.gate.checks.resource_growth import Bench, PairedMemory, closed_bench
from benchmarks.gate.checks.slices import find_slices
from benchmarks.latency.peak_memory import MemoryRequest, measure_peak_memory
from benchmarks.latency.side_by_side import PairedRequest, PairedTiming, compare_latency, judge_runs
from pipeline.config.fields import Natural, Positive, Section, Seed, Share, Threads
from pipeline.config.params import GateParams
from pipeline.config.policy import load_policy
from pipeline.data.records import Record
from pipeline.data.shards import load_batch, read_index
from pipeline.data.storage import read_json, write_json, write_rows
from pipeline.train.model import load_checkpoint

RESULT = "gate"

REAL_FORMAT, REAL_ARTIFACT = "onnx", "onnx-float32"
VERDICTS, TIMINGS, POWER = Path("verdicts.json"), Path("timings.json"), Path("power.json")
_FRAMES = 32


class Params(Section):
    """Size of the experiment.

    Attributes:
        selfies: Numbers of selfies of simulated pairs; real pairs use the first.
        no_regression_pairs: Simulated pairs per kind in which nothing is worse.
        damaged_pairs: Simulated pairs per damage.
        accuracy: Accuracy of simulated baselines.
        workers: Processes that simulate.
        images: Number of rendered training images.
        epochs: Epochs per training.
        pool: Selfies that real pairs are tested on.
        draws: Verdicts per real pair.
        strengths: How strong the damages of real models are.
        slowdown_runs: Latency-gate runs per slowdown level; 0: not measured.
        slowdown_pool: Processes per slowdown level that runs draw from; 0: every run has its own.
        identical_processes: Processes with identical artifacts that bound the false alarms; 0: no bound.
        seed: Seed of images and draws.
    """

    RENAMED: ClassVar[Mapping[str, str]] = {
        "quiet_pairs": "no_regression_pairs",
        "quiet_processes": "identical_processes",
    }

    selfies: Annotated[tuple[Positive, ...], Field(min_length=1)] = (2000, 8000)
    no_regression_pairs: Positive = 400
    damaged_pairs: Positive = 100
    accuracy: Share = 0.94
    workers: Threads = 2
    images: Positive = 6000
    epochs: Positive = 15
    pool: Positive = 4000
    draws: Positive = 100
    strengths: Strengths = Strengths()
    slowdown_runs: Natural = 1000
    slowdown_pool: Natural = 12
    identical_processes: Natural = 360
    seed: Seed = 6006

    def effects(self) -> dict[str, tuple[Effect, int]]:
        """Kind of simulated pair -> its effect, and the number of pairs."""
        without = {name: (effect, self.no_regression_pairs) for name, effect in NO_REGRESSION.items()}
        return without | {name: (effect, self.damaged_pairs) for name, effect in DAMAGES.items()}


class PairTimings(Record):
    """What the gate measures of one pair: one timing, or two where the first does not decide, and peak memory."""

    timings: tuple[PairedTiming, ...]
    candidate_peak_rss_bytes: int
    baseline_peak_rss_bytes: int


class SimulatedRates(Record):
    """Kind of simulated pair -> rates of its verdicts."""

    kinds: dict[str, VerdictRates]


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


class SelfieCounts(ResultRecord):
    """Numbers of selfies behind ``damage_caught``."""

    simulated: int
    real: int


class Result(LatencyPower):
    """Everything that was measured.

    Attributes:
        identical_pass_rate: Share of identical candidates that pass.
        false_alarm_rate: Kind without regression -> share that fails.
        damage_caught: Damage -> share that fails.
        damage_caught_selfies: Numbers of selfies behind it.
        simulated: Number of selfies -> kind -> rates.
        real: Candidate -> result.
    """

    identical_pass_rate: float
    false_alarm_rate: dict[str, float]
    damage_caught: dict[str, float]
    damage_caught_selfies: SelfieCounts
    simulated: dict[str, dict[str, VerdictRates]]
    real: dict[str, RealPairResult]


def run(params: Params, work: Path, report_progress: ReportProgress) -> Result:
    """Simulate, train, damage, time and judge.

    Raises:
        ParamsError: The checkout's params.yaml is missing or wrong.
        DataError: A command failed.
    """
    experiment = open_experiment(params, work, policy="helmet")
    run_steps(list(plan(experiment, report_progress)), report_progress)
    return measure(experiment)


def plan(experiment: Experiment[Params], report_progress: ReportProgress) -> Iterator[Step]:
    """List all steps in order: simulated pairs, real models and their predictions, timings."""
    params = experiment.params
    for count in params.selfies:
        folder = _open(experiment, f"simulated-{count}")
        action = partial(_simulate, experiment, count, folder.path)
        effects, accuracy, seed = params.effects(), params.accuracy, params.seed
        yield folder.step("simulate", "gate", action, (VERDICTS,), effects=effects, accuracy=accuracy, seed=seed)
    data = _open(experiment, "data")
    yield from (data.selfies(), data.prompts())
    generate = data.generate()
    yield generate
    yield data.step("split", "split", partial(_split, data.path), ROWS, (generate.name,))
    models = list(damaged_models.plan(_models(experiment)))
    yield from models
    needs = tuple(step.name for step in models if step.name.startswith((f"{SOUND}/convert", f"{SLOWER}/")))
    folder = _open(experiment, SLOWER)
    yield folder.step("time", "gate", partial(_time_slower, experiment), (TIMINGS,), (*needs, "data/selfies"))
    if params.slowdown_runs:
        folder = _open(experiment, "slowdowns")
        pool, processes = params.slowdown_pool, params.identical_processes
        config = PowerConfig(params.slowdown_runs, pool, processes, seed=params.seed)
        action = partial(_measure_power, experiment, config, folder.path, report_progress)
        needs = (f"{SOUND}/convert-{REAL_FORMAT}", "data/selfies")
        yield folder.step("time", "gate", action, (POWER,), needs, config=config)


def measure(experiment: Experiment[Params]) -> Result:
    """Judge the real pairs, and read what the steps left."""
    params, work = experiment.params, experiment.work
    simulated = {
        str(count): read_json(work / f"simulated-{count}" / VERDICTS, SimulatedRates).kinds for count in params.selfies
    }
    real = {name: judge_real_pair(experiment, name) for name in PAIRS}
    first, largest = simulated[str(params.selfies[0])], simulated[str(params.selfies[-1])]
    caught = {name: largest[name].fail_share.value for name in DAMAGES}
    caught |= {name: row.fail_share.value for name, row in real.items() if row.worse}
    if params.slowdown_runs:
        power = read_json(work / "slowdowns" / POWER, LatencyPower)
    else:
        not_measured = dict.fromkeys(("0.00", "0.02", "0.05", "0.10"))
        power = LatencyPower(slowdown_caught=not_measured, slowdown_false_alarms=None)
    return Result(
        identical_pass_rate=first["identical"].pass_share,
        false_alarm_rate={name: first[name].fail_share.value for name in NO_REGRESSION},
        damage_caught=caught,
        damage_caught_selfies=SelfieCounts(simulated=params.selfies[-1], real=params.selfies[0]),
        simulated=simulated,
        real=real,
        **{name: getattr(power, name) for name in power.model_fields_set},
    )


def judge_real_pair(experiment: Experiment[Params], name: str) -> RealPairResult:
    """Judge subsets of the pool, and compare the two models on the whole pool."""
    params, folders = experiment.params, [experiment.work / each for each in (name, PAIRS[name])]
    new, old = (read_predictions(folder / PREDICTIONS) for folder in folders)
    candidate, baseline = (read_json(folder / MODEL_FILE, ModelFile) for folder in folders)
    bench, slower = closed_bench("not timed", lambda _format: "this benchmark does not time it"), None
    if name == SLOWER:
        runs = read_json(folders[0] / TIMINGS, PairTimings)
        memory = PairedMemory(runs.candidate_peak_rss_bytes, runs.baseline_peak_rss_bytes)
        bench = Bench(lambda _, run: runs.timings[run], lambda _: memory)
        slower = min(timing.median_ratio for timing in runs.timings) - 1
    limits = experiment.base.gate.model_copy(update={"required": (REAL_FORMAT,), "min_accuracy": 0.0})
    subsets = draw_subsets(new, old, params.selfies[0], params.draws, params.seed)
    verdicts = [judge_case(limits, make_case(subset, (candidate, baseline), bench)) for subset in subsets]
    before, after = (table.decisions(REAL_ARTIFACT) == table.targets for table in (old, new))
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


def _open(experiment: Experiment[Params], name: str) -> StageFolder:
    params, convert = experiment.params, experiment.base.convert
    onnx = {**convert.formats[REAL_FORMAT], "recipes": ["float32"]}
    return experiment.open(
        name,
        {
            "dataset": {"source": "generated"},
            "prompts": {"count": params.images, "seed": params.seed, "top_up": {}},
            "generate": {"generator": "rendered"},
            "train": {"epochs": params.epochs, "pretrained": "none"},
            "selfies": {"source": "rendered", "count": params.pool, "seed": params.seed + 1},
            "convert": {"formats": {**convert.formats, REAL_FORMAT: onnx}},
        },
    )


def _models(experiment: Experiment[Params]) -> ModelPairsConfig:
    needs = ("data/split", "data/selfies")
    return ModelPairsConfig(experiment.work / "data", partial(_open, experiment), experiment.params.strengths, needs)


def _simulate(experiment: Experiment[Params], count: int, folder: Path) -> None:
    params = experiment.params
    selfies = draw_selfies(load_policy(experiment.policy_file), count, params.seed)
    limits = experiment.base.gate.model_copy(update={"required": (FORMAT,)})
    verdicts = judge_simulated(limits, selfies, params.effects(), params.accuracy, params.workers)
    kinds = {name: rate_verdicts(of_kind) for name, of_kind in verdicts.items()}
    write_json(folder / VERDICTS, SimulatedRates(kinds=kinds))


def _split(data: Path) -> None:
    """Split without curation: labels of rendered images are certain."""
    write_rows(data / KEPT, read_index(data / IMAGES))
    run_gossamer(data, "split", KEPT, *ROWS)


def _request(experiment: Experiment[Params], folder: Path, candidate: str) -> PairedRequest:
    """A candidate beside the sound model, on the first selfies, timed as the gate does."""
    selfies, limits, models = experiment.work / "data" / SELFIES, experiment.base.gate.latency, _models(experiment)
    frames = folder / "frames.npy"
    spec = load_checkpoint(experiment.work / SOUND / CHECKPOINT).config.preprocess
    np.save(frames, load_batch(selfies, read_index(selfies)[:_FRAMES], spec))
    return PairedRequest(
        format=REAL_FORMAT,
        candidate=models.model(candidate).resolve(),
        baseline=models.model(SOUND).resolve(),
        frames=frames,
        threads=1,
        warmup=limits.warmup,
        pairs=limits.pairs,
        processes=limits.processes,
        seed=limits.seed,
    )


def _time_slower(experiment: Experiment[Params]) -> None:
    folder, limits = experiment.work / SLOWER, experiment.base.gate.latency
    request, timings = _request(experiment, folder, SLOWER), []

    def compare(run: int) -> PairedTiming:
        timings.append(compare_latency(request.model_copy(update={"seed": request.seed + run})))
        return timings[-1]

    judge_runs(compare, limits.warn, limits.fail)
    settings = {"format": request.format, "frames": request.frames, "threads": request.threads}
    candidate, baseline = (
        measure_peak_memory(MemoryRequest.model_validate({**settings, "path": path})).peak_rss_bytes
        for path in (request.candidate, request.baseline)
    )
    record = PairTimings(timings=tuple(timings), candidate_peak_rss_bytes=candidate, baseline_peak_rss_bytes=baseline)
    write_json(folder / TIMINGS, record)


def _measure_power(
    experiment: Experiment[Params], config: PowerConfig, folder: Path, report_progress: ReportProgress
) -> None:
    power = measure_power(_request(experiment, folder, SOUND), config, folder, report_progress)
    write_json(folder / POWER, power)

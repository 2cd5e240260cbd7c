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

from pydantic import Field

from benchmarks.experiment_harness.course import IMAGES, KEPT, ROWS, Experiment, StageFolder, open_experiment
from benchmarks.experiment_harness.results import ResultRecord
from benchmarks.experiment_harness.training_run import FULL_TRAINING
from benchmarks.experiment_harness.workspace import ReportProgress, Step, run_gossamer, run_steps
from benchmarks.experiments.gate_power import damaged_models
from benchmarks.experiments.gate_power.damaged_models import PAIRS, SLOWER, SOUND, ModelPairsConfig, Strengths
from benchmarks.experiments.gate_power.latency_power import LatencyPower, PowerConfig, measure_power
from benchmarks.experiments.gate_power.real_pairs import (
    TIMINGS,
    RealPairResult,
    SubsetDraws,
    judge_real_pair,
    paired_request,
    time_slower_graph,
)
from benchmarks.experiments.gate_power.simulated_pairs import DAMAGES, FORMAT, NO_REGRESSION, Effect, draw_selfies
from benchmarks.experiments.gate_power.verdict_rates import VerdictRates, judge_simulated, rate_verdicts
from pipeline.config.fields import Natural, Positive, Section, Seed, Share, Threads
from pipeline.config.policy import load_policy
from pipeline.data.records import Record
from pipeline.data.shards import read_index
from pipeline.data.storage import read_json, write_json, write_rows

RESULT = "gate"
POLICY = "helmet"

VERDICTS, POWER = Path("verdicts.json"), Path("power.json")


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


class SimulatedRates(Record):
    """Kind of simulated pair -> rates of its verdicts."""

    kinds: dict[str, VerdictRates]


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
    experiment = open_experiment(params, work, policy=POLICY)
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
    models, latency = _models(experiment), experiment.base.gate.latency
    steps = list(damaged_models.plan(models))
    yield from steps
    needs = tuple(step.name for step in steps if step.name.startswith((f"{SOUND}/convert", f"{SLOWER}/")))
    folder = _open(experiment, SLOWER)
    yield folder.step("time", "gate", partial(time_slower_graph, models, latency), (TIMINGS,), (*needs, "data/selfies"))
    if params.slowdown_runs:
        folder = _open(experiment, "slowdowns")
        pool, processes = params.slowdown_pool, params.identical_processes
        config = PowerConfig(params.slowdown_runs, pool, processes, seed=params.seed)
        action = partial(_measure_power, experiment, config, folder.path, report_progress)
        needs = (damaged_models.converted(SOUND), "data/selfies")
        yield folder.step("time", "gate", action, (POWER,), needs, config=config)


def measure(experiment: Experiment[Params]) -> Result:
    """Judge the real pairs, and read what the steps left."""
    params, work = experiment.params, experiment.work
    simulated = {
        str(count): read_json(work / f"simulated-{count}" / VERDICTS, SimulatedRates).kinds for count in params.selfies
    }
    draws = SubsetDraws(params.selfies[0], params.draws, params.seed)
    real = {name: judge_real_pair(work, name, experiment.base.gate, draws) for name in PAIRS}
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


def _open(experiment: Experiment[Params], name: str) -> StageFolder:
    params, convert = experiment.params, experiment.base.convert
    format_name = damaged_models.FORMAT
    section = {**convert.formats[format_name], "recipes": [damaged_models.RECIPE]}
    return experiment.open(
        name,
        {
            "dataset": {"source": "generated"},
            "prompts": {"count": params.images, "seed": params.seed, "top_up": {}},
            "generate": {"generator": "rendered", "mix": {}},
            "train": {**FULL_TRAINING, "epochs": params.epochs},
            "selfies": {"count": params.pool, "seed": params.seed + 1},
            "convert": {"formats": {**convert.formats, format_name: section}},
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


def _measure_power(
    experiment: Experiment[Params], config: PowerConfig, folder: Path, report_progress: ReportProgress
) -> None:
    request = paired_request(_models(experiment), experiment.base.gate.latency, folder, SOUND)
    power = measure_power(request, config, folder, report_progress)
    write_json(folder / POWER, power)

"""The gate as a gate: what it passes, catches and misses, on pairs whose difference is known.

- Simulated pairs (``simulated_pairs``): hundreds of each kind, at several numbers of selfies. Nothing is worse:
  the same model exported anew, and others that are as good; or one thing is, above the margin of its check.
- Real pairs (``damaged_models``): a small model trained on rendered pictures, and nine others made from it, most of
  them spoilt. All answer one pool of selfies; each verdict is on a part of it.
- Slowdowns put in on purpose (``latency_power``), timed by the gate's own rule.

A kind is caught when the verdict is fail. Unmeasured is no catch and no false alarm: it holds a release back, and says
how many more selfies would decide. Floors of accuracy are off for the real pairs: how good a model of some minutes is
says nothing about the gate. Reads params.yaml and policies/; leaves its work in the work area.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import yaml
from pydantic import Field

from benchmarks.evaluation.measurement import ModelFile
from benchmarks.evaluation.predictions import Predictions, read_predictions
from benchmarks.experiment_harness.workspace import PARAMS, POLICIES, Step, carry_out, derive, gossamer, open_folder
from benchmarks.experiments import Tell
from benchmarks.experiments.gate_power import damaged_models, latency_power
from benchmarks.experiments.gate_power.damaged_models import (
    FIGURES,
    HARMLESS,
    PAIRS,
    PREDICTIONS,
    SOUND,
    Ground,
    Strengths,
)
from benchmarks.experiments.gate_power.simulated_pairs import DAMAGES, FORMAT, QUIET, draw_world
from benchmarks.experiments.gate_power.verdict_rates import as_case, count, draw_parts, judge_case, judge_simulated
from benchmarks.gate.checks.paired_accuracy import Change
from benchmarks.gate.checks.resource_growth import Bench, PairedMemory, closed_bench
from benchmarks.gate.checks.slices import find_slices
from benchmarks.latency.peak_memory import MemoryRequest, measure_peak_memory
from benchmarks.latency.side_by_side import PairedRequest, PairedTiming, compare_latency, judge_runs
from pipeline.config.fields import Natural, Positive, Section, Seed, Share, Threads
from pipeline.config.params import GateParams, load_params
from pipeline.config.params import Params as AllParams
from pipeline.config.policy import load_policy
from pipeline.data.records import Record
from pipeline.data.shards import INDEX, load_batch, read_index
from pipeline.data.storage import read_json, read_metrics, write_json, write_rows
from pipeline.train.model import load_checkpoint

RESULT = "gate"

IMAGES, KEPT = damaged_models.IMAGES, Path("data/kept.jsonl")
REAL_ARTIFACT = "onnx-float32"
SLOWER = "slower_graph"
_FRAMES = 32


class Params(Section):
    """How many pairs, how much is trained, how hard it is hit.

    Attributes:
        selfies: At which the simulated pairs are judged; real ones at the first of them.
        quiet_pairs: Simulated, of each kind in which nothing is worse.
        damaged_pairs: Simulated, of each damage.
        accuracy: Of the simulated baseline.
        workers: Processes that simulate.
        images: Rendered, for training.
        epochs: Of each training.
        pool: Selfies that real pairs answer.
        draws: Verdicts on each real pair.
        strengths: How hard real models are hit.
        slowdown_runs: Of the latency gate, a slowdown; 0: none.
        slowdown_pool: Processes a slowdown that they are drawn from; 0: each run has its own.
        quiet_processes: That time identical artifacts, to bound false alarms; 0: not bounded.
        seed: Of pictures and draws.
    """

    selfies: Annotated[tuple[Positive, ...], Field(min_length=1)] = (2000, 8000)
    quiet_pairs: Positive = 400
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
    quiet_processes: Natural = 360
    seed: Seed = 6006


class Runs(Record):
    """What the gate measures of one pair: one timing, or two where the first one needs another, and peak memory."""

    timings: tuple[PairedTiming, ...]
    candidate_peak_rss_bytes: int
    baseline_peak_rss_bytes: int


@dataclass(frozen=True, slots=True)
class Course:
    """The benchmark's work area, and what its steps need to know."""

    work: Path
    values: Mapping[str, Any]
    params: Params

    @property
    def policy(self) -> str:
        """The policy's file, as commands are told it."""
        return f"{POLICIES}/helmet.yaml"

    @property
    def gate(self) -> GateParams:
        """The checkout's limits."""
        return AllParams.model_validate(self.values).gate

    @property
    def ground(self) -> Ground:
        """Where real models are made."""
        return Ground(self.work / "data", self.open, self.policy, self.params.strengths, ("data/split", "data/selfies"))

    def open(self, name: str) -> Path:
        """Make a folder to run commands in."""
        changes: dict[str, dict[str, Any]] = {
            "dataset": {"source": "generated"},
            "prompts": {"count": self.params.images, "seed": self.params.seed, "top_up": {}},
            "generate": {"generator": "rendered"},
            "train": {"epochs": self.params.epochs, "pretrained": "none"},
            "selfies": {"source": "rendered", "count": self.params.pool, "seed": self.params.seed + 1},
        }
        values = derive({**self.values, "policy": "helmet"}, changes)
        values["convert"]["formats"]["onnx"]["recipes"] = ["float32"]
        return open_folder(self.work / name, values, Path(POLICIES))


def run(params: Params, workspace: Path, tell: Tell) -> dict[str, Any]:
    """Simulate, train, spoil, time and judge; what is done already is not done again.

    Raises:
        ParamsError: The checkout's params.yaml is missing or wrong.
        DataError: A command failed.
    """
    load_params()
    course = Course(workspace, yaml.safe_load(Path(PARAMS).read_text(encoding="utf-8")), params)
    carry_out(list(plan(course, tell)), tell)
    return figures(course)


def plan(course: Course, tell: Tell) -> Iterator[Step]:
    """Every step: simulated verdicts at each number of selfies, real models and their answers, timings."""
    for selfies in course.params.selfies:
        folder = course.open(f"simulated-{selfies}")
        act = partial(_simulate, course, selfies, folder)
        asked = repr((QUIET, DAMAGES, course.params.quiet_pairs, course.params.damaged_pairs, course.params.accuracy))
        name = f"simulated-{selfies}/{hashlib.sha256(asked.encode()).hexdigest()[:12]}"
        yield Step(name, "gate", folder, act, (folder / "verdicts.json",))
    data = course.open("data")
    act = partial(gossamer, data, "selfies", course.policy, "data/selfies")
    yield Step("data/selfies", "selfies", data, act, (data / "data/selfies" / INDEX,))
    outs = (data / "data/prompts.jsonl", data / "metrics/prompts.json")
    yield Step("data/prompts", "prompts", data, partial(gossamer, data, "prompts", course.policy, *outs), outs)
    act = partial(gossamer, data, "generate", outs[0], course.policy, IMAGES, "metrics/generate.json")
    yield Step("data/generate", "generate", data, act, (data / IMAGES / INDEX,), ("data/prompts",))
    rows = tuple(data / each for each in damaged_models.ROWS)
    yield Step("data/split", "split", data, partial(_split, data), rows, ("data/generate",))
    yield from damaged_models.steps(course.ground)
    before = (f"{SOUND}/convert", f"{SLOWER}/answer", "data/selfies")
    folder = course.open(SLOWER)
    act = partial(_time_slower, course)
    yield Step(f"{SLOWER}/time", "gate", folder, act, (folder / "timings.json",), before)
    if course.params.slowdown_runs:
        folder = course.open("slowdowns")
        params = course.params
        curve = latency_power.Curve(
            params.slowdown_runs, params.slowdown_pool, params.quiet_processes, seed=params.seed
        )
        act = partial(_slowdowns, course, curve, folder, tell)
        name = f"slowdowns/{curve.runs}-{curve.pool}-{curve.quiet}"
        yield Step(name, "gate", folder, act, (folder / "curve.json",), before[::2])


def figures(course: Course) -> dict[str, Any]:
    """Tables of both kinds of pairs, and from them what the contract names."""
    simulated = {
        str(selfies): read_metrics(course.work / f"simulated-{selfies}" / "verdicts.json")
        for selfies in course.params.selfies
    }
    real = {name: _real(course, name) for name in PAIRS}
    most = simulated[str(course.params.selfies[-1])]
    first = simulated[str(course.params.selfies[0])]
    caught = {name: most[name]["fail_share"] for name in DAMAGES}
    caught |= {name: row["fail_share"] for name, row in real.items() if name not in HARMLESS}
    shares = dict.fromkeys(("0.00", "0.02", "0.05", "0.10"))
    untimed: dict[str, Any] = {"slowdown_caught": shares, "slowdown_false_alarms": None}
    curve = read_metrics(course.work / "slowdowns/curve.json") if course.params.slowdown_runs else untimed
    return {
        "identical_pass_rate": first["identical"]["pass_share"],
        "false_alarm_rate": {name: first[name]["fail_share"] for name in QUIET},
        "damage_caught": caught,
        "damage_caught_selfies": {"simulated": course.params.selfies[-1], "real": course.params.selfies[0]},
        "simulated": simulated,
        "real": real,
        **curve,
    }


def _simulate(course: Course, selfies: int, folder: Path) -> None:
    world = draw_world(load_policy(Path(course.policy)), selfies, course.params.seed)
    limits = course.gate.model_copy(update={"required": (FORMAT,)})
    effects = {name: (effect, course.params.quiet_pairs) for name, effect in QUIET.items()}
    effects |= {name: (effect, course.params.damaged_pairs) for name, effect in DAMAGES.items()}
    found = judge_simulated(limits, world, effects, course.params.accuracy, course.params.workers)
    write_json(folder / "verdicts.json", {name: count(verdicts) for name, verdicts in found.items()})


def _split(data: Path) -> None:
    """Rendered labels are certain: everything is kept."""
    write_rows(data / KEPT, read_index(data / IMAGES))
    gossamer(data, "split", KEPT, *damaged_models.ROWS)


def _real(course: Course, name: str) -> dict[str, Any]:
    """Verdicts on one real pair, and how far apart the two are on the whole pool."""
    new, old = (read_predictions(course.work / each / PREDICTIONS) for each in (name, PAIRS[name]))
    candidate, baseline = (read_json(course.work / each / FIGURES, ModelFile) for each in (name, PAIRS[name]))
    bench, slower = closed_bench("not timed", lambda _format: "this benchmark does not time it"), None
    if name == SLOWER:
        runs = read_json(course.work / SLOWER / "timings.json", Runs)
        memory = PairedMemory(runs.candidate_peak_rss_bytes, runs.baseline_peak_rss_bytes)
        bench = Bench(lambda _, run: runs.timings[run], lambda _: memory)
        slower = min(timing.median_ratio for timing in runs.timings) - 1
    limits = course.gate.model_copy(update={"required": ("onnx",), "min_accuracy": 0.0})
    parts = draw_parts(new, old, course.params.selfies[0], course.params.draws, course.params.seed)
    verdicts = [judge_case(limits, as_case(part, (candidate, baseline), bench)) for part in parts]
    told = {"baseline": PAIRS[name], "worse": name not in HARMLESS, "slower": slower}
    return {**told, **count(verdicts), **_apart(limits, new, old)}


def _apart(limits: GateParams, new: Predictions, old: Predictions) -> dict[str, Any]:
    """Points of accuracy lost on the whole pool, overall and in the worst slice that is large enough."""
    right = [table.decisions(REAL_ARTIFACT) == table.targets for table in (old, new)]
    slices = find_slices(new.factors, limits.slice_pairs)
    slices = {name: rows for name, rows in slices.items() if len(rows) >= limits.min_slice_selfies}
    falls = {name: -100 * Change.of(right[0][rows], right[1][rows]).difference for name, rows in slices.items()}
    worst = max(falls, key=lambda name: falls[name]) if falls else None
    return {
        "accuracy": float(np.mean(right[1])),
        "baseline_accuracy": float(np.mean(right[0])),
        "points_lost": 100 * float(np.mean(right[0]) - np.mean(right[1])),
        "worst_slice": worst,
        "worst_slice_points_lost": falls[worst] if worst else None,
    }


def _request(course: Course, folder: Path, candidate: str) -> PairedRequest:
    """Candidate beside the sound model, on the first selfies, as the gate asks."""
    data, limits = course.work / "data/data/selfies", course.gate.latency
    frames = folder / "frames.npy"
    spec = load_checkpoint(course.work / SOUND / damaged_models.CHECKPOINT).config.preprocess
    np.save(frames, load_batch(data, read_index(data)[:_FRAMES], spec))
    return PairedRequest(
        format="onnx",
        candidate=course.ground.model(candidate).resolve(),
        baseline=course.ground.model(SOUND).resolve(),
        frames=frames,
        threads=1,
        warmup=limits.warmup,
        pairs=limits.pairs,
        processes=limits.processes,
        seed=limits.seed,
    )


def _time_slower(course: Course) -> None:
    folder, timings = course.work / SLOWER, []

    def measure(run: int) -> PairedTiming:
        request = _request(course, folder, SLOWER)
        timings.append(compare_latency(request.model_copy(update={"seed": request.seed + run})))
        return timings[-1]

    judge_runs(measure, course.gate.latency.warn, course.gate.latency.fail)
    request = _request(course, folder, SLOWER)
    candidate, baseline = (
        measure_peak_memory(
            MemoryRequest(format=request.format, path=path, frames=request.frames, threads=request.threads)
        )
        for path in (request.candidate, request.baseline)
    )
    runs = Runs(
        timings=tuple(timings),
        candidate_peak_rss_bytes=candidate.peak_rss_bytes,
        baseline_peak_rss_bytes=baseline.peak_rss_bytes,
    )
    write_json(folder / "timings.json", runs)


def _slowdowns(course: Course, curve: latency_power.Curve, folder: Path, tell: Tell) -> None:
    found = latency_power.operating_curve(_request(course, folder, SOUND), curve, folder, tell)
    write_json(folder / "curve.json", found)

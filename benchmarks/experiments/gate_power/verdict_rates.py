"""Many verdicts on pairs of one kind, simulated or real, and how they are counted: caught, missed, false alarms.

Simulated pairs are drawn anew each time. A real pair answered a pool of selfies; each verdict is on a part of the pool,
drawn without replacement, so the rate says how much the verdict depends on which selfies were at hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmarks.evaluation.measurement import ModelFile
from benchmarks.evaluation.predictions import Predictions
from benchmarks.experiments.gate_power.simulated_pairs import Case, Effect, World, measure, simulate
from benchmarks.gate.baseline import Accepted, Baseline
from benchmarks.gate.checks.resource_growth import Bench
from benchmarks.gate.verdict import decide_verdict, failed_or_missing
from pipeline.config.params import GateParams
from pipeline.data.records import Outcome, Verdict
from pipeline.machine.process_pool import open_pool
from pipeline.metrics.statistics import wilson_interval

_CHUNK = 25
_TOLD = 3


def judge_case(params: GateParams, case: Case) -> Verdict:
    """What the gate says."""
    return decide_verdict(params, case.measurement, case.predictions, case.baseline, case.bench)


def judge_simulated(
    params: GateParams, world: World, effects: Mapping[str, tuple[Effect, int]], accuracy: float, workers: int
) -> dict[str, list[Verdict]]:
    """Draw so many pairs of each effect and judge them, in processes of their own."""
    jobs = [
        _Job(name, effect, start, min(_CHUNK, pairs - start))
        for name, (effect, pairs) in effects.items()
        for start in range(0, pairs, _CHUNK)
    ]
    found: dict[str, list[Verdict]] = {name: [] for name in effects}
    with open_pool(workers) as pool:
        for job, verdicts in zip(jobs, pool.map(partial(_do, params, world, accuracy), jobs), strict=True):
            found[job.name] += verdicts
    return found


@dataclass(frozen=True, slots=True)
class _Job:
    name: str
    effect: Effect
    start: int
    pairs: int


def draw_parts(
    table: Predictions, other: Predictions, size: int, draws: int, seed: int
) -> Iterator[tuple[Predictions, Predictions]]:
    """The same part of two tables of the same selfies in the same order, so many times."""
    random = np.random.default_rng(seed)
    for _ in range(draws):
        rows = np.sort(random.permutation(len(table.ids))[:size])
        yield take(table, rows), take(other, rows)


def take(table: Predictions, rows: np.ndarray[Any, np.dtype[np.int64]]) -> Predictions:
    """Some rows of a table."""
    return Predictions(
        tuple(table.ids[row] for row in rows),
        tuple(table.sha256[row] for row in rows),
        table.targets[rows],
        table.labels,
        table.thresholds,
        {name: values[rows] for name, values in table.probabilities.items()},
        tuple(table.factors[row] for row in rows) if table.factors else (),
    )


def as_case(pair: tuple[Predictions, Predictions], files: tuple[ModelFile, ModelFile], bench: Bench) -> Case:
    """Put the predictions and the model file of a candidate and of its baseline together."""
    new, old = (measure(table, file) for table, file in zip(pair, files, strict=True))
    accepted = Accepted(measure_sha256="", predictions_sha256="", selfies_dataset_id="", checkpoint_id="real")
    return Case(new, pair[0], Baseline(old, pair[1], accepted), bench)


def count(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Shares that passed, failed and were unmeasured, the interval of those that failed, and the checks behind it."""
    outcomes = Counter(each.verdict for each in verdicts)
    total = len(verdicts)
    shares = {f"{name}_share": outcomes[name] / total for name in _OUTCOMES}
    low, high = wilson_interval(outcomes["fail"], total)
    return {
        "pairs": total,
        **shares,
        "fail_share_low": low,
        "fail_share_high": high,
        "failed_by": _names(verdicts, "fail"),
        "unmeasured_by": _names(verdicts, "unmeasured"),
    }


_OUTCOMES: tuple[Outcome, ...] = ("pass", "fail", "unmeasured")


def _names(verdicts: Sequence[Verdict], outcome: Outcome) -> dict[str, float]:
    """Checks that most often had this outcome -> in which share of the verdicts."""
    names = Counter(
        name
        for verdict in verdicts
        for name in {each.name for each in failed_or_missing(verdict.checks) if each.verdict == outcome}
    )
    ordered = sorted(names.items(), key=lambda item: (-item[1], item[0]))[:_TOLD]
    return {name: seen / len(verdicts) for name, seen in ordered}


def _do(params: GateParams, world: World, accuracy: float, job: _Job) -> list[Verdict]:
    random = np.random.default_rng([job.start, len(world.ids)])
    return [judge_case(params, simulate(world, job.effect, accuracy, random)) for _ in range(job.pairs)]

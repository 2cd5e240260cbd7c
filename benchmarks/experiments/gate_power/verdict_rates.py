"""Many verdicts of the gate on pairs of one kind, and the rates at which they pass, fail or stay unmeasured.

Simulated pairs are drawn independently. The two models of a real pair were tested on the same pool of selfies; each
verdict uses a subset of it, drawn without replacement, so the rates show how much the verdict depends on the selfies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.evaluation.estimates import Estimate
from benchmarks.evaluation.measurement import ModelFile
from benchmarks.evaluation.predictions import Predictions
from benchmarks.experiment_harness.results import ResultRecord
from benchmarks.experiments.gate_power.simulated_pairs import Case, Effect, SimulatedSelfies, measure, simulate
from benchmarks.gate.baseline import Accepted, Baseline
from benchmarks.gate.checks.resource_growth import Bench
from benchmarks.gate.verdict import decide_verdict, failed_or_missing
from pipeline.config.params import GateParams
from pipeline.data.records import Outcome, Verdict
from pipeline.machine.process_pool import open_pool
from pipeline.metrics.statistics import wilson_interval

_PAIRS_PER_JOB = 25
_MOST_FREQUENT = 3


class VerdictRates(ResultRecord):
    """Rates of the verdicts on pairs of one kind.

    Attributes:
        pairs: Number of verdicts.
        pass_share: Share that passed.
        fail_share: Share that failed, with its 95 % Wilson interval.
        unmeasured_share: Share that stayed unmeasured.
        failed_by: The checks that failed most often -> share of the verdicts.
        unmeasured_by: The checks that stayed unmeasured most often -> share of the verdicts.
    """

    pairs: int
    pass_share: float
    fail_share: Estimate
    unmeasured_share: float
    failed_by: dict[str, float]
    unmeasured_by: dict[str, float]


def judge_case(params: GateParams, case: Case) -> Verdict:
    """The verdict of the gate on one pair."""
    return decide_verdict(params, case.measurement, case.predictions, case.baseline, case.bench)


def judge_simulated(
    params: GateParams,
    selfies: SimulatedSelfies,
    effects: Mapping[str, tuple[Effect, int]],
    accuracy: float,
    workers: int,
) -> dict[str, list[Verdict]]:
    """Draw pairs and judge them in worker processes.

    Args:
        params: Limits of the gate.
        selfies: The selfies.
        effects: Name -> (effect, number of pairs).
        accuracy: Accuracy of the baselines.
        workers: Number of processes.
    """
    jobs = [
        _Job(name, effect, start, min(_PAIRS_PER_JOB, pairs - start))
        for name, (effect, pairs) in effects.items()
        for start in range(0, pairs, _PAIRS_PER_JOB)
    ]
    verdicts: dict[str, list[Verdict]] = {name: [] for name in effects}
    with open_pool(workers) as pool:
        for job, done in zip(jobs, pool.map(partial(_run, params, selfies, accuracy), jobs), strict=True):
            verdicts[job.name] += done
    return verdicts


@dataclass(frozen=True, slots=True)
class _Job:
    name: str
    effect: Effect
    start: int
    pairs: int


def draw_subsets(
    table: Predictions, other: Predictions, size: int, draws: int, seed: int
) -> Iterator[tuple[Predictions, Predictions]]:
    """Draw the same ``size`` selfies from two tables with the same rows, ``draws`` times."""
    random = np.random.default_rng(seed)
    for _ in range(draws):
        rows = np.sort(random.permutation(len(table.ids))[:size])
        yield table.select(rows), other.select(rows)


def make_case(pair: tuple[Predictions, Predictions], files: tuple[ModelFile, ModelFile], bench: Bench) -> Case:
    """Make a case of the predictions and model files of (candidate, baseline)."""
    new, old = (measure(table, file) for table, file in zip(pair, files, strict=True))
    accepted = Accepted(measure_sha256="", predictions_sha256="", selfies_dataset_id="", checkpoint_id="real")
    return Case(new, pair[0], Baseline(old, pair[1], accepted), bench)


def rate_verdicts(verdicts: Sequence[Verdict]) -> VerdictRates:
    """Rates of the verdicts, and the checks that caused them."""
    outcomes = Counter(verdict.verdict for verdict in verdicts)
    total = len(verdicts)
    low, high = wilson_interval(outcomes["fail"], total)
    return VerdictRates(
        pairs=total,
        pass_share=outcomes["pass"] / total,
        fail_share=Estimate(value=outcomes["fail"] / total, low=low, high=high),
        unmeasured_share=outcomes["unmeasured"] / total,
        failed_by=_most_frequent(verdicts, "fail"),
        unmeasured_by=_most_frequent(verdicts, "unmeasured"),
    )


def _most_frequent(verdicts: Sequence[Verdict], outcome: Outcome) -> dict[str, float]:
    """Checks that most often had this outcome -> share of the verdicts."""
    names = Counter(
        name
        for verdict in verdicts
        for name in {check.name for check in failed_or_missing(verdict.checks) if check.verdict == outcome}
    )
    ordered = sorted(names.items(), key=lambda item: (-item[1], item[0]))[:_MOST_FREQUENT]
    return {name: count / len(verdicts) for name, count in ordered}


def _run(params: GateParams, selfies: SimulatedSelfies, accuracy: float, job: _Job) -> list[Verdict]:
    random = np.random.default_rng([job.start, len(selfies.ids)])
    return [judge_case(params, simulate(selfies, job.effect, accuracy, random)) for _ in range(job.pairs)]

"""Stage: every artifact on the selfies the training never saw, beside the float checkpoint it came from.

Reads models/checkpoint/, artifacts/FORMAT/ and data/selfies/; writes metrics/measure.json, plots/*.csv and
data/predictions.parquet. Answers come from each format's own runtime (``benchmarks.evaluation.inference``); time and
memory from a fresh process an artifact (``benchmarks.latency.single_artifact``), and preprocessing apart from both
(``benchmarks.latency.preprocessing``). What could not be measured is null, and ``unmeasured`` says why.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.arm64.evaluate import measure_on_arm
from benchmarks.evaluation.accuracy import (
    Figures,
    PolicyFacts,
    ask_again,
    compare,
    confusion_table,
    equalised_odds,
    expected_cost,
    pair_rows,
    rate,
    rate_slice,
    slice_rows,
)
from benchmarks.evaluation.inference import (
    EvaluationSet,
    Runtimes,
    artifact_name,
    check_evaluation_set,
    local_runtimes,
    run_inference,
)
from benchmarks.evaluation.plots import Row, plot_rows
from benchmarks.evaluation.predictions import CHECKPOINT, Predictions, write_predictions
from benchmarks.latency import single_artifact
from benchmarks.robustness import evaluate
from pipeline.config.params import MeasureParams
from pipeline.config.policy import SCENARIO, Policy
from pipeline.data.preprocess import PreprocessSpec
from pipeline.data.records import Artifact
from pipeline.data.shards import load_batch, read_bytes
from pipeline.data.storage import write_csv, write_json
from pipeline.errors import GossamerError
from pipeline.train.complexity import Complexity

TIMES = tuple(name for name in single_artifact.Timing.model_fields if name not in {"threads", "threads_many"})
_TIMED_FRAMES = 32


@dataclass(frozen=True, slots=True)
class MeasureResult:
    """metrics/measure.json, data/predictions.parquet, and plots/NAME.csv by name."""

    metrics: dict[str, Any]
    predictions: Predictions
    plots: Mapping[str, Sequence[Row]]


def run(params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes | None = None) -> MeasureResult:
    """Measure the checkpoint and every artifact.

    Raises:
        DataError: There are no selfies, or they are of other labels; artifacts are another checkpoint's.
    """
    runtimes = runtimes or local_runtimes()
    check_evaluation_set(evaluation_set)
    table, unanswered = run_inference(evaluation_set, runtimes, params.threads, params.workers)
    figures: dict[str, Figures] = {}
    unmeasured: dict[str, str] = {}
    for path, artifact in evaluation_set.artifacts:
        name = artifact_name(artifact)
        why = unanswered.get(name, "")
        timing = _untimed(why) if why else _time(params, evaluation_set, (path, artifact), runtimes)
        unmeasured |= {f"artifacts.{name}.accuracy": why} if why else {}
        unmeasured |= {f"artifacts.{name}.latency": timing.why} if timing.why else {}
        figures[name] = {
            **rate(table, name, params.confidence),
            **compare(table, name, CHECKPOINT),
            **ask_again(table, name, artifact.retake_band),
            "sha256": artifact.sha256,
            "size_bytes": artifact.size_bytes,
            **timing.figures,
        }
    arm = measure_on_arm(params.arm64, evaluation_set, table, params.seed, params.confidence)
    figures = {name: {**row, **arm.figures[name].model_dump()} for name, row in figures.items()}
    metrics = _assemble(params, evaluation_set, table, figures)
    metrics["arm64"] = arm.lab.model_dump() if arm.lab else {}
    metrics["unmeasured"] |= {**unmeasured, **arm.unmeasured}
    pictures = [read_bytes(evaluation_set.selfies, row) for row in evaluation_set.rows[:_TIMED_FRAMES]]
    timed = runtimes.preprocess(pictures, evaluation_set.reference.preprocess)
    metrics["preprocess"] = {kind: each.model_dump() for kind, each in timed.items()}
    metrics = evaluate.run(params, evaluation_set, runtimes).add_to(metrics)
    return MeasureResult(metrics, table, plot_rows(table, metrics["slices"], figures))


def write(result: MeasureResult, metrics: Path, predictions: Path, plots: Path) -> None:
    """Write metrics/measure.json, data/predictions.parquet, and a CSV a plot (``figures.plot_rows``)."""
    write_json(metrics, result.metrics)
    write_predictions(predictions, result.predictions)
    for name, rows in result.plots.items():
        write_csv(plots / f"{name}.csv", rows)


def policy_facts(policy: Policy, pairs: tuple[tuple[str, str], ...] = ()) -> PolicyFacts:
    """Take factor names and scenario costs from a policy; pairs of other policies' factors are left out."""
    names = [factor.name for label in policy.labels for factor in policy.factors_of(label)]
    scenarios = (SCENARIO,) if policy.scenarios else ()
    own = tuple(pair for pair in pairs if set(pair) <= set(names))
    return PolicyFacts((*scenarios, *dict.fromkeys(names)), {each.name: each.costs for each in policy.scenarios}, own)


@dataclass(frozen=True, slots=True)
class _Timed:
    figures: Figures
    why: str = ""


def _untimed(why: str) -> _Timed:
    return _Timed(dict.fromkeys(TIMES), why)


def _time(
    params: MeasureParams, evaluation_set: EvaluationSet, artifact: tuple[Path, Artifact], runtimes: Runtimes
) -> _Timed:
    """Time one artifact; where that cannot be done every figure is None and the reason is kept."""
    path, record = artifact
    why = runtimes.unmeasured(record.format)
    if why:
        return _untimed(why)
    with tempfile.TemporaryDirectory() as folder:
        frames = Path(folder) / "frames.npy"
        spec = PreprocessSpec.model_validate(record.preprocess)
        np.save(frames, load_batch(evaluation_set.selfies, evaluation_set.rows[:_TIMED_FRAMES], spec))
        request = single_artifact.LatencyRequest(
            format=record.format,
            path=path.resolve(),
            frames=frames,
            threads=params.threads,
            threads_many=params.threads_many,
            warmup=params.latency.warmup,
            profile=params.latency.profile,
        )
        try:
            timing = runtimes.time(request)
        except GossamerError as error:
            return _untimed(str(error))
    return _Timed({name: getattr(timing, name) for name in TIMES})


def _assemble(
    params: MeasureParams, evaluation_set: EvaluationSet, table: Predictions, figures: Mapping[str, Figures]
) -> dict[str, Any]:
    factors = [row.factors for row in evaluation_set.rows]
    scenarios = [row.get(SCENARIO) for row in factors]
    slices, pairs = (
        {
            name: {value: rate_slice(table, at, params.confidence, params.min_slice) for value, at in values.items()}
            for name, values in rows.items()
        }
        for rows in (
            slice_rows(factors, evaluation_set.policy.factors),
            pair_rows(factors, evaluation_set.policy.pairs),
        )
    )
    costs = {name: expected_cost(table, name, scenarios, evaluation_set.policy.costs) for name in table.probabilities}
    unmeasured = {}
    if not slices:
        unmeasured["slices"] = "the selfies carry no factors (photographs do not)"
    if not costs[CHECKPOINT]:
        unmeasured["cost_per_1000"] = "no selfie belongs to a scenario with costs"
    complexity = evaluation_set.reference.complexity
    return {
        "labels": list(table.labels),
        "confidence": params.confidence,
        "threads": params.threads,
        "threads_many": params.threads_many,
        "selfies": {
            "count": len(table.ids),
            "dataset_id": table.dataset_id(),
            "labels": {name: int(np.sum(table.targets == i)) for i, name in enumerate(table.labels)},
        },
        "checkpoint": {
            "id": evaluation_set.reference.id,
            **rate(table, CHECKPOINT, params.confidence),
            **(complexity.model_dump() if complexity else dict.fromkeys(Complexity.model_fields)),
        },
        "artifacts": dict(figures),
        "slices": slices,
        "slice_pairs": pairs,
        "equalised_odds": equalised_odds(slices),
        "confusion": confusion_table(table, CHECKPOINT),
        "cost_per_1000": {name: cost for name, cost in costs.items() if cost},
        "unmeasured": unmeasured,
    }

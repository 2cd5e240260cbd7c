"""Baselines of hand-made predictions, and verdicts on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.evaluation.measurement import Measurement
from benchmarks.evaluation.predictions import Predictions, write_predictions
from benchmarks.gate.baseline import Accepted, Baseline
from benchmarks.gate.checks.resource_growth import Bench, PairedMemory
from benchmarks.gate.verdict import decide_verdict
from benchmarks.latency.side_by_side import PairedTiming
from pipeline.config.params import GateParams
from pipeline.data.records import Check, Verdict
from pipeline.data.storage import write_json
from tests.benchmarks.evaluation.measurements import changed, measurement_of

INT8 = "tflite-static_wi8_ai8"


def bench_of(*ratios: float, memory_growth: float = 0.0) -> Bench:
    """A bench on which run ``i`` of every artifact takes ``ratios[i]`` times the baseline's time."""

    def time(_: str, run: int) -> PairedTiming:
        return PairedTiming(ratios=(ratios[run],) * 9, candidate_p50_ms=ratios[run], baseline_p50_ms=1.0)

    return Bench(time, lambda _: PairedMemory(round(10**8 * (1 + memory_growth)), 10**8))


EQUAL_RESOURCES = bench_of(1.0)


def judge(
    params: GateParams,
    measurement: Measurement,
    predictions: Predictions,
    baseline: Baseline | None,
    bench: Bench = EQUAL_RESOURCES,
) -> Verdict:
    return decide_verdict(params, measurement, predictions, baseline, bench)


def as_baseline(table: Predictions, size_bytes: int = 1_000_000) -> Baseline:
    """An accepted baseline with these predictions, whose files are not the candidate's."""
    measurement = measurement_of(table, size_bytes)
    for name in measurement.artifacts:
        measurement = changed(measurement, name, sha256="0" * 64)
    return baseline_of(measurement, table)


def baseline_of(measurement: Measurement, table: Predictions) -> Baseline:
    accepted = Accepted(measure_sha256="", predictions_sha256="", selfies_dataset_id="", checkpoint_id="abc")
    return Baseline(measurement, table, accepted)


def check(verdict: Verdict, name: str, artifact: str = INT8) -> Check:
    return next(row for row in verdict.checks if (row.name, row.artifact) == (name, artifact))


def saved(folder: Path, table: Predictions, size_bytes: int = 1_000_000) -> tuple[Path, Path]:
    """Paths of the measurement and of the predictions, written into a folder."""
    write_json(folder / "measure.json", measurement_of(table, size_bytes))
    write_predictions(folder / "predictions.parquet", table)
    return folder / "measure.json", folder / "predictions.parquet"


def missing(table: Predictions, rows: range | list[int], column: str = INT8) -> Predictions:
    """The same predictions, except that a column is wrong on these rows."""
    probabilities = {name: values.copy() for name, values in table.probabilities.items()}
    for row in rows:
        positive = 0.2 if table.targets[row] == 1 else 0.9
        probabilities[column][row] = (1 - positive, positive)
    return replace(table, probabilities=probabilities)


def factored(table: Predictions, **factors: Callable[[int], str]) -> Predictions:
    """The same predictions on selfies with factors, each a function of the row's number."""
    rows = tuple({name: value(row) for name, value in factors.items()} for row in range(len(table.ids)))
    return replace(table, factors=rows)

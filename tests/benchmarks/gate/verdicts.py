"""Measurements and baselines made from answers made to order, and what was decided about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.evaluation.accuracy import compare, rate
from benchmarks.evaluation.predictions import CHECKPOINT, Predictions, write_predictions
from benchmarks.gate.baseline import Accepted, Baseline
from pipeline.data.records import Check, Verdict
from pipeline.data.storage import write_json

INT8 = "tflite-static_wi8_ai8"


def measured(table: Predictions, size_bytes: int = 1_000_000) -> dict[str, Any]:
    artifacts = {
        name: {**rate(table, name, 0.95), **compare(table, name, CHECKPOINT), "size_bytes": size_bytes}
        for name in table.probabilities
        if name != CHECKPOINT
    }
    return {"confidence": 0.95, "checkpoint": {"id": "abc"}, "artifacts": artifacts}


def as_baseline(table: Predictions, size_bytes: int = 1_000_000) -> Baseline:
    accepted = Accepted(measure_sha256="", predictions_sha256="", selfies_dataset_id="", checkpoint_id="abc")
    return Baseline(measured(table, size_bytes), table, accepted)


def check(verdict: Verdict, name: str, artifact: str = INT8) -> Check:
    return next(each for each in verdict.checks if (each.name, each.artifact) == (name, artifact))


def saved(folder: Path, table: Predictions, size_bytes: int = 1_000_000) -> tuple[Path, Path]:
    write_json(folder / "measure.json", measured(table, size_bytes))
    write_predictions(folder / "predictions.parquet", table)
    return folder / "measure.json", folder / "predictions.parquet"


def missing(table: Predictions, rows: range | list[int], column: str = INT8) -> Predictions:
    """The same answers, but those of a column wrong on these rows, whatever they were."""
    probabilities = {name: values.copy() for name, values in table.probabilities.items()}
    for row in rows:
        positive = 0.2 if table.targets[row] == 1 else 0.9
        probabilities[column][row] = (1 - positive, positive)
    return replace(table, probabilities=probabilities)


def factored(table: Predictions, **factors: Callable[[int], str]) -> Predictions:
    """The same answers on selfies with factors, each a function of the row's number."""
    rows = tuple({name: value(row) for name, value in factors.items()} for row in range(len(table.ids)))
    return replace(table, factors=rows)

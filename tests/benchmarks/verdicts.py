"""Measurements and baselines made from answers made to order, and what was decided about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.baseline import Accepted, Baseline
from benchmarks.figures import compare, rate
from benchmarks.predictions import CHECKPOINT, Predictions, write_predictions
from pipeline.records import Check, Verdict, write_json

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

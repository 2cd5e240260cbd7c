"""Rows of plots/*.csv: ROC, coverage, calibration, confusion, slices, and accuracy against latency."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.evaluation.accuracy import (
    Figures,
)
from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from pipeline.metrics import classification

Row = dict[str, Any]


_ROC_POINTS = 200


_COVERAGE_POINTS = 100


_SLICE_COLUMNS = ("count", "accuracy", "accuracy_low", "accuracy_high", "fnr", "fpr")


def plot_rows(
    table: Predictions, slices: Mapping[str, Mapping[str, Figures]], artifacts: Mapping[str, Figures] | None = None
) -> dict[str, list[Row]]:
    """Rows of plots/*.csv by name: confusion, roc, calibration, coverage, slices and accuracy_latency.

    They are in the layouts ``dvc plots`` takes. A slice too small to rate and an artifact that was not timed have no
    row: there is nothing to draw.
    """
    whole = [name for name in table.probabilities if table.is_whole(name)]
    names = table.labels
    return {
        "confusion": [
            {"actual": names[target], "predicted": names[decided]}
            for target, decided in zip(table.targets, table.decisions(CHECKPOINT), strict=True)
        ]
        if CHECKPOINT in whole
        else [],
        "roc": [row for column in whole for row in _roc_rows(table, column)],
        "calibration": [
            {"artifact": column, "confidence": round(mean, 6), "accuracy": round(share, 6), "count": rows}
            for column in whole
            for rows, mean, share in classification.calibration_bins(table.probabilities[column], table.targets)
        ],
        "coverage": [row for column in whole for row in _coverage_rows(table, column)],
        "slices": [
            {"slice": f"{factor}={value}", **{key: figures.get(key) for key in _SLICE_COLUMNS}}
            for factor, values in slices.items()
            for value, figures in values.items()
            if figures.get("accuracy") is not None
        ],
        "accuracy_latency": _accuracy_latency_rows(artifacts or {}),
    }


def _roc_rows(table: Predictions, column: str) -> list[Row]:
    positive = len(table.labels) - 1
    alarms, hits, thresholds = classification.roc_curve(
        table.probabilities[column][:, positive], table.targets == positive
    )
    keep = np.unique(np.linspace(0, len(alarms) - 1, min(len(alarms), _ROC_POINTS)).astype(int))
    return [
        {
            "artifact": column,
            "fpr": round(float(alarms[i]), 6),
            "tpr": round(float(hits[i]), 6),
            "threshold": round(min(float(thresholds[i]), 1.0), 6),
        }
        for i in keep
    ]


def _coverage_rows(table: Predictions, column: str) -> list[Row]:
    """From all checks answered down to the surest few; the others are asked for another picture."""
    sure = classification.decision_margin(table.probabilities[column], table.thresholds[column])
    coverage, accuracy = classification.coverage_curve(sure, table.decisions(column) == table.targets)
    if not len(coverage):
        return []
    wanted = np.searchsorted(coverage, np.linspace(1 / _COVERAGE_POINTS, 1, _COVERAGE_POINTS))
    keep = np.unique(np.minimum(wanted, len(coverage) - 1))[::-1]
    return [
        {"artifact": column, "coverage": round(float(coverage[i]), 6), "accuracy": round(float(accuracy[i]), 6)}
        for i in keep
    ]


def _accuracy_latency_rows(artifacts: Mapping[str, Figures]) -> list[Row]:
    columns = ("accuracy", "accuracy_low", "accuracy_high", "latency_p50_ms", "size_bytes")
    rows = [(name, {key: figures.get(key) for key in columns}) for name, figures in artifacts.items()]
    return [{"artifact": name, **row} for name, row in rows if None not in row.values()]

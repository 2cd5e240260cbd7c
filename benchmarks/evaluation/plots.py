"""Rows of plots/*.csv: ROC, coverage, calibration, confusion, slices, and accuracy against size.

Pure. The columns are those that the plots of dvc.yaml name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from benchmarks.evaluation.measurement import ArtifactFigures, Measurement, SetFigures, SliceFigures
from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from pipeline.metrics import classification

Row = Mapping[str, str | float | None]
"""Column -> value; None is an empty cell."""
PLOTS = ("confusion", "roc", "calibration", "coverage", "slices", "accuracy_size")
_ROC_POINTS = 200
_COVERAGE_POINTS = 100


def plot_rows(table: Predictions, measurement: Measurement) -> dict[str, list[Row]]:
    """Rows by the name of the plot: confusion, roc, calibration, coverage, slices and accuracy_size.

    Slices too small to have figures and models without usable predictions have no rows. Each row names its test set;
    in the columns that separate lines and panels, names of other sets than the headline begin with that of the set.
    The headline's rows come first, and the confusion matrix shows that set alone.
    """
    rows: dict[str, list[Row]] = {name: [] for name in PLOTS}
    for name, figures in measurement.every_set.items():
        own = _rows_of_set(table.of_set(name), figures)
        prefix = "" if name == measurement.headline else f"{name}: "
        for plot, lines in own.items():
            if plot != "confusion" or not prefix:
                rows[plot] += [_of_set(line, name, prefix) for line in lines]
    return rows


def _of_set(row: Row, name: str, prefix: str) -> Row:
    """A row with the name of its set, also before the names that separate lines and panels."""
    named = {key: f"{prefix}{value}" if key in {"artifact", "slice"} else value for key, value in row.items()}
    return {**named, "set": name}


def _rows_of_set(table: Predictions, figures: SetFigures) -> dict[str, list[Row]]:
    whole = [name for name in table.probabilities if table.is_whole(name)]
    return {
        "confusion": _confusion_rows(table) if CHECKPOINT in whole else [],
        "roc": [row for column in whole for row in _roc_rows(table, column)],
        "calibration": [row for column in whole for row in _calibration_rows(table, column)],
        "coverage": [row for column in whole for row in _coverage_rows(table, column)],
        "slices": _slice_rows(figures.slices),
        "accuracy_size": _accuracy_size_rows(figures.artifacts.values()),
    }


def _confusion_rows(table: Predictions) -> list[Row]:
    names = table.labels
    return [
        {"actual": names[target], "predicted": names[decided]}
        for target, decided in zip(table.targets, table.decisions(CHECKPOINT), strict=True)
    ]


def _roc_rows(table: Predictions, column: str) -> list[Row]:
    positive = len(table.labels) - 1
    fpr, tpr, thresholds = classification.roc_curve(table.probabilities[column][:, positive], table.targets == positive)
    drawn = np.unique(np.linspace(0, len(fpr) - 1, min(len(fpr), _ROC_POINTS)).astype(int))
    return [
        {
            "artifact": column,
            "fpr": round(float(fpr[i]), 6),
            "tpr": round(float(tpr[i]), 6),
            "threshold": round(min(float(thresholds[i]), 1.0), 6),
        }
        for i in drawn
    ]


def _calibration_rows(table: Predictions, column: str) -> list[Row]:
    return [
        {"artifact": column, "confidence": round(mean, 6), "accuracy": round(share, 6), "count": rows}
        for rows, mean, share in classification.calibration_bins(table.probabilities[column], table.targets)
    ]


def _coverage_rows(table: Predictions, column: str) -> list[Row]:
    """From full coverage down to the selfies with the largest decision margin; abstention takes the others."""
    margin = classification.decision_margin(table.probabilities[column], table.thresholds[column])
    coverage, accuracy = classification.coverage_curve(margin, table.decisions(column) == table.targets)
    if not len(coverage):
        return []
    wanted = np.searchsorted(coverage, np.linspace(1 / _COVERAGE_POINTS, 1, _COVERAGE_POINTS))
    drawn = np.unique(np.minimum(wanted, len(coverage) - 1))[::-1]
    return [
        {"artifact": column, "coverage": round(float(coverage[i]), 6), "accuracy": round(float(accuracy[i]), 6)}
        for i in drawn
    ]


def _slice_rows(slices: Mapping[str, Mapping[str, SliceFigures]]) -> list[Row]:
    return [
        {
            "slice": f"{factor}={value}",
            "count": figures.count,
            "accuracy": figures.accuracy.value,
            "accuracy_low": figures.accuracy.low,
            "accuracy_high": figures.accuracy.high,
            "fnr": figures.fnr,
            "fpr": figures.fpr,
        }
        for factor, values in slices.items()
        for value, figures in values.items()
        if figures.accuracy is not None
    ]


def _accuracy_size_rows(artifacts: Iterable[ArtifactFigures]) -> list[Row]:
    return [
        {
            "artifact": row.name,
            "accuracy": row.accuracy.value,
            "accuracy_low": row.accuracy.low,
            "accuracy_high": row.accuracy.high,
            "size_bytes": row.size_bytes,
        }
        for row in artifacts
        if row.accuracy is not None
    ]

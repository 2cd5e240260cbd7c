"""Line charts of the report: training, ROC, calibration and abstention.

A chart of every artifact would be unreadable, so the checkpoint is drawn with the artifacts that ``columns_to_draw``
picks. ``dvc plots show`` draws all of them from plots/*.csv, one panel per artifact.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from benchmarks.evaluation.measurement import SetFigures
from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from benchmarks.report.charts.svg import Axes, Point, line_chart
from benchmarks.report.inputs import ReportInput
from pipeline.metrics import classification

_PANELS = {"loss": ("loss",), "share": ("accuracy", "acc", "auc", "f1", "precision", "recall")}
"""Panel of the training curve -> words in the names of the columns it shows."""
_MIN_COVERAGE = 0.5
"""A model that abstains on more than half of all images is of no use, so the chart ends there."""
_MIN_SELFIES = 20
"""Accuracy over fewer selfies jumps from point to point."""
_MAX_POINTS = 200
"""Points of one line."""
_GOOD_AUC, _CORNER = 0.95, 0.25
"""From this area on, the ROC chart shows only its corner of low error rates, up to this rate."""


def draw_charts(inputs: ReportInput) -> dict[str, Markup]:
    """Charts by name: "training loss", "training share", "roc", "calibration", "coverage"; those with figures only."""
    charts = {f"training {panel}": chart for panel, chart in _training(inputs.training_curve)}
    return charts | draw_prediction_charts(inputs.headline_predictions, inputs.measurement)


def draw_prediction_charts(table: Predictions | None, figures: SetFigures | None) -> dict[str, Markup]:
    """The charts "roc", "calibration" and "coverage" of one test set; none without predictions of the checkpoint."""
    if table is None or not table.is_whole(CHECKPOINT) or not len(table.ids):
        return {}
    names = columns_to_draw(table, figures)
    drawn = {"calibration": _calibration(table, names), "coverage": _coverage(table, names)}
    return _roc(table, names) | drawn


def columns_to_draw(table: Predictions, figures: SetFigures | None) -> list[str]:
    """The checkpoint, the most accurate artifact, and the least accurate artifact of each format.

    Between equally accurate artifacts, the one whose probabilities differ more from the checkpoint's is the worse.
    """
    artifacts = figures.artifacts if figures else {}
    formats: dict[str, list[str]] = {}
    for name, row in artifacts.items():
        if table.is_whole(name):
            formats.setdefault(row.format, []).append(name)

    def rank(name: str) -> tuple[float, float, str]:
        accuracy = float(np.mean(table.decisions(name) == table.targets))
        distance = float(np.mean(np.abs(table.probabilities[name] - table.probabilities[CHECKPOINT])))
        return accuracy, -distance, name

    worst = {min(names, key=rank) for names in formats.values()}
    best = max((name for names in formats.values() for name in names), key=rank, default=CHECKPOINT)
    return [CHECKPOINT, *(name for name in artifacts if name in worst | {best})]


def _training(curve: Sequence[Mapping[str, str]]) -> Iterator[tuple[str, Markup]]:
    if not curve:
        return
    step = next((name for name in ("epoch", "step") if name in curve[0]), None)
    for panel, words in _PANELS.items():
        series: dict[str, list[Point]] = {}
        for name in curve[0]:
            if name != step and any(word in name.lower().replace("/", "_").split("_") for word in words):
                series[name] = [
                    (float(row.get(step or "", index)), float(row[name]))
                    for index, row in enumerate(curve)
                    if name in row
                ]
        if series:
            yield panel, line_chart(series, _fitted_axes(series, (step or "row", panel)))


def _fitted_axes(series: Mapping[str, Sequence[Point]], labels: tuple[str, str]) -> Axes:
    xs, ys = zip(*(point for points in series.values() for point in points), strict=True)
    low, high = min(ys), max(ys)
    room = 0.05 * (high - low) or 0.05
    top = min(high + room, 1.0) if labels[1] == "share" and high <= 1 else high + room
    return Axes((min(xs), max(xs)), (max(low - room, 0.0) if low >= 0 else low - room, top), labels)


def _roc(table: Predictions, names: Sequence[str]) -> dict[str, Markup]:
    """The ROC chart; empty where the selfies are all of one label."""
    positive, curves, areas = len(table.labels) - 1, {}, []
    truth = table.targets == positive
    for name in names:
        scores = table.probabilities[name][:, positive]
        fpr, tpr, _ = classification.roc_curve(scores, truth)
        if len(fpr):
            curves[name] = fpr, tpr
            areas.append(classification.roc_auc(scores, truth))
    if not curves:
        return {}
    largest = _CORNER if min(areas) >= _GOOD_AUC else 1.0
    lines = {name: _corner(fpr, tpr, largest) for name, (fpr, tpr) in curves.items()}
    axes = Axes((0.0, largest), (1.0 - largest, 1.0), ("false positive rate", "true positive rate"))
    return {"roc": line_chart(lines, axes, diagonal=largest == 1)}


def _corner(fpr: NDArray[np.floating], tpr: NDArray[np.floating], largest: float) -> list[Point]:
    """Points of a ROC curve where both error rates are at most ``largest``, cut where it enters and leaves."""
    inside = (fpr < largest) & (tpr > 1 - largest)
    first = float(np.interp(1 - largest, tpr, fpr)), 1 - largest
    last = largest, float(np.interp(largest, fpr, tpr))
    return [first, *zip(fpr[inside].tolist(), tpr[inside].tolist(), strict=True), last]


def _calibration(table: Predictions, names: Sequence[str]) -> Markup:
    bins = {name: classification.calibration_bins(table.probabilities[name], table.targets) for name in names}
    lines = {name: [(confidence, accuracy) for _, confidence, accuracy in rows] for name, rows in bins.items()}
    return line_chart(lines, Axes((0, 1), (0, 1), ("confidence", "accuracy")), diagonal=True)


def _coverage(table: Predictions, names: Sequence[str]) -> Markup:
    """Accuracy on the remaining selfies over the abstention rate, from 0 to one half."""
    lines: dict[str, list[Point]] = {}
    for name in names:
        margin = classification.decision_margin(table.probabilities[name], table.thresholds[name])
        coverage, accuracy = classification.coverage_curve(margin, table.decisions(name) == table.targets)
        shown = (coverage >= _MIN_COVERAGE) & (coverage * len(margin) >= min(_MIN_SELFIES, len(margin)))
        points = list(zip((1 - coverage[shown]).tolist(), accuracy[shown].tolist(), strict=True))[::-1]
        lines[name] = points[:: len(points) // _MAX_POINTS + 1]
    low = min(accuracy for points in lines.values() for _, accuracy in points)
    axes = Axes((0.0, 1 - _MIN_COVERAGE), (min(low, 0.99), 1.0), ("abstention rate", "accuracy when answering"))
    return line_chart(lines, axes)

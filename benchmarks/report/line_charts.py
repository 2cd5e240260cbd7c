"""The report's curves: training, ROC, calibration, and what asking for another picture would buy.

Fourteen lines in one chart tell nobody anything, so the checkpoint is drawn with the artifacts that ``chosen`` picks;
plots/*.csv has all of them, a panel each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from benchmarks.report.inputs import ReportInput
from benchmarks.report.svg import Axes, Point, line_chart
from pipeline.metrics import classification

_PANELS = {"loss": ("loss",), "share": ("accuracy", "acc", "auc", "f1", "precision", "recall")}
_ANSWERED = 0.5  # of the checks; who asks more people than that to try again has no use for the model
_POINTS = 200  # of a line, at most
_ROWS = 20  # fewer give an accuracy that jumps from point to point


def charts(found: ReportInput) -> dict[str, Markup]:
    """Charts by name: training panels, ROC, calibration and coverage; only those there are figures for."""
    drawn = {f"training {name}": chart for name, chart in _training(found.curve)}
    table = found.predictions
    if table is not None and table.is_whole(CHECKPOINT) and len(table.ids):
        drawn |= _curves(table)
    return drawn


def chosen(table: Predictions) -> list[str]:
    """The checkpoint, the best artifact, and the worst of each format: what lies between is no surprise.

    By accuracy; of equals the one farther from the checkpoint's probabilities is the worse. A table of few artifacts
    has all of them.
    """
    reference = table.probabilities[CHECKPOINT]

    def worth(name: str) -> tuple[float, float, str]:
        right = float(np.mean(table.decisions(name) == table.targets))
        return right, -float(np.mean(np.abs(table.probabilities[name] - reference))), name

    artifacts = [name for name in table.probabilities if name != CHECKPOINT and table.is_whole(name)]
    formats: dict[str, list[str]] = {}
    for name in artifacts:
        formats.setdefault(name.partition("-")[0], []).append(name)
    picked = {min(names, key=worth) for names in formats.values()} | {max(artifacts, key=worth, default=CHECKPOINT)}
    return [CHECKPOINT, *(name for name in artifacts if name in picked)]


def _training(curve: Sequence[Mapping[str, str]]) -> Iterator[tuple[str, Markup]]:
    if not curve:
        return
    steps = next((name for name in ("epoch", "step") if name in curve[0]), None)
    for panel, words in _PANELS.items():
        series: dict[str, list[Point]] = {}
        for name in curve[0]:
            if name != steps and any(word in name.lower().replace("/", "_").split("_") for word in words):
                points = [
                    (float(row.get(steps or "", at)), float(row[name])) for at, row in enumerate(curve) if name in row
                ]
                series[name] = points
        if series:
            yield panel, line_chart(series, _fitted(series, (steps or "row", panel)))


def _fitted(series: Mapping[str, Sequence[Point]], labels: tuple[str, str]) -> Axes:
    xs, ys = zip(*(point for points in series.values() for point in points), strict=True)
    low, high = min(ys), max(ys)
    room = 0.05 * (high - low) or 0.05
    top = min(high + room, 1.0) if labels[1] == "share" and high <= 1 else high + room
    return Axes((min(xs), max(xs)), (max(low - room, 0.0) if low >= 0 else low - room, top), labels)


def _curves(table: Predictions) -> dict[str, Markup]:
    names = chosen(table)
    return {**_roc(table, names), "calibration": _calibration(table, names), "coverage": _coverage(table, names)}


def _roc(table: Predictions, names: Sequence[str]) -> dict[str, Markup]:
    positive, curves, areas = len(table.labels) - 1, {}, []
    truth = table.targets == positive
    for name in names:
        scores = table.probabilities[name][:, positive]
        alarms, hits, _ = classification.roc_curve(scores, truth)
        if len(alarms):
            curves[name] = alarms, hits
            areas.append(classification.roc_auc(scores, truth))
    if not curves:
        return {}
    # good models live in the corner: show that part of the plane where all of them do
    reach = 0.25 if min(areas) >= 0.95 else 1.0
    lines = {name: _corner(alarms, hits, reach) for name, (alarms, hits) in curves.items()}
    axes = Axes((0.0, reach), (1.0 - reach, 1.0), ("false positive rate", "true positive rate"))
    return {"roc": line_chart(lines, axes, diagonal=reach == 1)}


def _corner(alarms: NDArray[np.floating], hits: NDArray[np.floating], reach: float) -> list[Point]:
    """The part of a ROC curve with at most ``reach`` false alarms and misses, cut where it enters and leaves."""
    inside = (alarms < reach) & (hits > 1 - reach)
    enters = float(np.interp(1 - reach, hits, alarms)), 1 - reach
    leaves = reach, float(np.interp(reach, alarms, hits))
    return [enters, *zip(alarms[inside].tolist(), hits[inside].tolist(), strict=True), leaves]


def _calibration(table: Predictions, names: Sequence[str]) -> Markup:
    bins = {name: classification.calibration_bins(table.probabilities[name], table.targets) for name in names}
    lines = {name: [(mean, share) for _, mean, share in rows] for name, rows in bins.items()}
    return line_chart(lines, Axes((0, 1), (0, 1), ("confidence", "accuracy")), diagonal=True)


def _coverage(table: Predictions, names: Sequence[str]) -> Markup:
    """Accuracy over the share of checks asked to try again, from none to half of them."""
    lines: dict[str, list[Point]] = {}
    for name in names:
        sure = classification.decision_margin(table.probabilities[name], table.thresholds[name])
        coverage, accuracy = classification.coverage_curve(sure, table.decisions(name) == table.targets)
        kept = (coverage >= _ANSWERED) & (coverage * len(sure) >= min(_ROWS, len(sure)))
        points = list(zip((1 - coverage[kept]).tolist(), accuracy[kept].tolist(), strict=True))[::-1]
        lines[name] = points[:: len(points) // _POINTS + 1]
    low = min(accuracy for points in lines.values() for _, accuracy in points)
    axes = Axes(
        (0.0, 1 - _ANSWERED), (min(low, 0.99), 1.0), ("share asked for another picture", "accuracy of the rest")
    )
    return line_chart(lines, axes)

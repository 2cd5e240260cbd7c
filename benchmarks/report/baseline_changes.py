"""Changes since the accepted baseline on the headline, artifact by artifact, and whether each is more than noise.

Shares are compared decision by decision on the same selfies, with an interval of the change. Sizes are compared
exactly. Latency changes as the gate measured it, side by side with the baseline's artifact on this machine; latencies
of different runs are not compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from benchmarks.evaluation.estimates import Estimate
from benchmarks.evaluation.machine_figures import MachineFigures
from benchmarks.evaluation.measurement import ArtifactFigures, CheckpointFigures, Measurement
from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from benchmarks.gate.baseline import Baseline, why_not_comparable_headlines
from benchmarks.gate.checks.check_results import LATENCY
from benchmarks.gate.paired_predictions import PairedPredictions, PairedRows, pair_predictions
from benchmarks.latency.side_by_side import WARN
from benchmarks.latency.single_artifact import Timing
from pipeline.data.records import Check
from pipeline.metrics.statistics import paired_difference_interval

Assessment = Literal["", "same", "noise", "better", "worse"]
_SAME_SIZE = 0.0005
"""A smaller relative change of a size counts as none."""


@dataclass(frozen=True, slots=True)
class Change:
    """A figure, and its change since the baseline.

    Attributes:
        value: The figure of this run; None where it is unmeasured.
        difference: Change since the baseline: of a share absolute, of a size or latency relative; None without one.
        assessment: Whether the change is good, bad or noise; "" without one.
    """

    value: float | None
    difference: float | None = None
    assessment: Assessment = ""


@dataclass(frozen=True, slots=True)
class ArtifactChanges:
    """One column of the predictions table: the checkpoint or an artifact.

    Attributes:
        name: Name of the column.
        interval: Accuracy with its interval.
        accuracy: Change of the accuracy; ``fnr``, ``fpr``, ``size`` and ``latency`` likewise.
        is_new: Whether the baseline lacks this artifact.
    """

    name: str
    interval: Estimate | None
    accuracy: Change
    fnr: Change
    fpr: Change
    size: Change = Change(None)
    latency: Change = Change(None)
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class BaselineChanges:
    """All changes.

    Attributes:
        rows: One per column, the checkpoint's first.
        removed: Artifacts of the baseline that this run lacks.
        incomparable: Why shares have no change: no baseline, other labels, other selfies; "" where they have.
    """

    rows: tuple[ArtifactChanges, ...] = ()
    removed: tuple[str, ...] = ()
    incomparable: str = ""


def compare_with_baseline(
    measurement: Measurement | None,
    timings: MachineFigures,
    predictions: Predictions | None,
    baseline: Baseline | None,
    checks: Iterable[Check],
) -> BaselineChanges:
    """Compare a run with the accepted baseline.

    Args:
        measurement: Figures of this run.
        timings: Latencies of this run.
        predictions: Probabilities of this run.
        baseline: The accepted baseline.
        checks: Checks of the gate, which timed artifacts side by side with the baseline's.
    """
    reason = _incomparable(measurement, predictions, baseline)
    if measurement is None:
        return BaselineChanges(incomparable=reason)
    timed = {check.artifact: check for check in checks if check.name == LATENCY}
    old = baseline.measurement.artifacts if baseline else {}
    pairs = None
    if predictions and baseline and not reason:
        pairs = pair_predictions(predictions.of_set(measurement.headline), baseline.headline_predictions)
    checkpoint = _changes(CHECKPOINT, measurement.checkpoint, pairs, measurement.confidence)
    artifacts = [
        replace(
            _changes(name, figures, pairs, measurement.confidence),
            size=_change_of_size(figures, old.get(name)),
            latency=_change_of_latency(timings.artifacts.get(name), timed.get(name)),
            is_new=baseline is not None and name not in old,
        )
        for name, figures in measurement.artifacts.items()
    ]
    removed = tuple(name for name in old if name not in measurement.artifacts)
    return BaselineChanges((checkpoint, *artifacts), removed, reason)


def _changes(
    name: str, figures: CheckpointFigures | ArtifactFigures, pairs: PairedPredictions | None, confidence: float
) -> ArtifactChanges:
    """Changes of the shares of one column."""
    accuracy = figures.accuracy.value if figures.accuracy else None
    correct = pairs.correct(name) if pairs else None
    return ArtifactChanges(
        name=name,
        interval=figures.accuracy,
        accuracy=_change_of_share(accuracy, correct, confidence, more_is_better=True),
        fnr=_change_of_share(figures.fnr, pairs.false_negatives(name) if pairs else None, confidence),
        fpr=_change_of_share(figures.fpr, pairs.false_positives(name) if pairs else None, confidence),
    )


def _change_of_share(
    value: float | None, rows: PairedRows | None, confidence: float, *, more_is_better: bool = False
) -> Change:
    """Change of a share of rows, with the paired interval of the change; none where the rows cannot be paired."""
    if value is None or rows is None or not len(rows.candidate):
        return Change(value)
    difference = float(np.mean(rows.candidate)) - float(np.mean(rows.baseline))
    if np.array_equal(rows.baseline, rows.candidate):
        return Change(value, 0.0, "same")
    low, high = paired_difference_interval(rows.baseline, rows.candidate, confidence)
    if low <= 0 <= high:
        return Change(value, difference, "noise")
    return Change(value, difference, "better" if (difference > 0) == more_is_better else "worse")


def _change_of_size(figures: ArtifactFigures, before: ArtifactFigures | None) -> Change:
    if before is None or not before.size_bytes:
        return Change(figures.size_bytes)
    difference = figures.size_bytes / before.size_bytes - 1
    if abs(difference) < _SAME_SIZE:
        return Change(figures.size_bytes, difference, "same")
    return Change(figures.size_bytes, difference, "better" if difference < 0 else "worse")


def _change_of_latency(timing: Timing | None, check: Check | None) -> Change:
    """Change that the gate measured; one that is too small for a warning of the gate is noise."""
    latency = timing.latency_p50_ms if timing else None
    if latency is None or check is None or check.value is None:
        return Change(latency)
    if check.verdict != "fail" and abs(check.value) <= WARN:
        return Change(latency, check.value, "noise" if check.value else "same")
    return Change(latency, check.value, "better" if check.value < 0 else "worse")


def _incomparable(measurement: Measurement | None, predictions: Predictions | None, baseline: Baseline | None) -> str:
    if baseline is None:
        return "no baseline was accepted yet"
    if predictions is None:
        return "there are no predictions to compare with the baseline's"
    headline = measurement.headline if measurement else baseline.measurement.headline
    return why_not_comparable_headlines(headline, predictions, baseline)

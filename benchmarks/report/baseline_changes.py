"""Pure: measurements + baseline -> what changed, artifact by artifact, and whether it is more than noise.

Shares are compared decision by decision on the same selfies, with an interval of the change; sizes as they are; time
as the gate took it side by side with the baseline's artifact, never as milliseconds that were stored.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from benchmarks.gate.baseline import Baseline
from pipeline.data.records import Check
from pipeline.metrics.statistics import paired_difference_interval

Tone = Literal["", "same", "noise", "better", "worse"]
Bools = NDArray[np.bool_]
LATENCY = "latency_vs_baseline"
SHARES = ("accuracy", "fnr", "fpr")
_LATENCY_NOISE = 0.02  # identical files differ by so much, paired and in fresh processes
_SAME_SIZE = 0.0005


@dataclass(frozen=True, slots=True)
class Delta:
    """A figure now, and what became of it since the baseline.

    Attributes:
        value: Now; None where it was not measured.
        change: Since the baseline, in the figure's unit (sizes and times: as a share of the baseline's), or None.
        tone: Whether that is good, bad or nothing to go by; empty without a change.
    """

    value: float | None
    change: float | None = None
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class DeltaRow:
    """An artifact, or the checkpoint, beside its forerunner; ``low`` and ``high`` are its accuracy's interval."""

    name: str
    low: float | None
    high: float | None
    accuracy: Delta
    fnr: Delta
    fpr: Delta
    size: Delta
    latency: Delta
    is_new: bool


@dataclass(frozen=True, slots=True)
class Deltas:
    """Rows, the checkpoint's first; ``gone`` names artifacts that only the baseline has.

    ``why`` says why shares are shown without a change: no baseline, other labels, other selfies.
    """

    rows: tuple[DeltaRow, ...]
    gone: tuple[str, ...]
    why: str


def deltas(
    measured: Mapping[str, Any], table: Predictions | None, baseline: Baseline | None, checks: Iterable[Check] = ()
) -> Deltas:
    """Compare a run with the accepted baseline, as far as they can be compared."""
    artifacts = measured.get("artifacts", {})
    old = baseline.measurement.model_dump(mode="json")["artifacts"] if baseline else {}
    why = _incomparable(table, baseline)
    pairs = _Pairs.of(table, baseline.predictions) if table and baseline and not why else None
    confidence = float(measured.get("confidence", 0.95))
    slower = {each.artifact: each for each in checks if each.name == LATENCY}
    figures = {CHECKPOINT: measured.get("checkpoint", {}), **artifacts}
    rows = []
    for name, row in figures.items():
        accuracy, fnr, fpr = (
            _share(row.get(kind), kind, pairs.change(name, kind) if pairs else None, confidence) for kind in SHARES
        )
        rows.append(
            DeltaRow(
                name=name,
                low=_number(row.get("accuracy_low")),
                high=_number(row.get("accuracy_high")),
                accuracy=accuracy,
                fnr=fnr,
                fpr=fpr,
                size=_grown(row.get("size_bytes"), old.get(name, {}).get("size_bytes")),
                latency=_timed(row.get("latency_p50_ms"), slower.get(name)),
                is_new=baseline is not None and name != CHECKPOINT and name not in old,
            )
        )
    return Deltas(tuple(rows), tuple(name for name in old if name not in artifacts), why)


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Two tables of the same selfies; ``order`` brings the old rows into the new ones' order."""

    new: Predictions
    old: Predictions
    order: NDArray[np.int64]

    @classmethod
    def of(cls, new: Predictions, old: Predictions) -> _Pairs:
        rows = {key: row for row, key in enumerate(old.ids)}
        return cls(new, old, np.array([rows[key] for key in new.ids], np.int64))

    def change(self, name: str, kind: str) -> tuple[Bools, Bools] | None:
        """(old, new) rows that count for a share, among those that can; None where there are none to compare."""
        if not (self.new.is_whole(name) and self.old.is_whole(name)):
            return None
        last = len(self.new.labels) - 1
        targets, old, new = self.new.targets, self.old.decisions(name)[self.order], self.new.decisions(name)
        if kind == "fnr":
            old, new = (each[targets == last] != last for each in (old, new))
        elif kind == "fpr":
            old, new = (each[targets != last] == last for each in (old, new))
        else:
            old, new = old == targets, new == targets
        return (old, new) if len(new) else None


def _share(value: object, kind: str, pair: tuple[Bools, Bools] | None, confidence: float) -> Delta:
    found = _number(value)
    if found is None or pair is None:
        return Delta(found)
    change = float(np.mean(pair[1])) - float(np.mean(pair[0]))
    low, high = paired_difference_interval(*pair, confidence)
    if np.array_equal(*pair):
        return Delta(found, 0.0, "same")
    if low <= 0 <= high:
        return Delta(found, change, "noise")
    return Delta(found, change, "better" if (change > 0) == (kind == "accuracy") else "worse")


def _grown(value: object, old: object) -> Delta:
    new, before = _number(value), _number(old)
    if new is None or not before:
        return Delta(new)
    change = new / before - 1
    return Delta(new, change, "same" if abs(change) < _SAME_SIZE else "better" if change < 0 else "worse")


def _timed(value: object, check: Check | None) -> Delta:
    found = _number(value)
    if found is None or check is None or check.value is None:
        return Delta(found)
    if check.verdict != "fail" and abs(check.value) <= _LATENCY_NOISE:
        return Delta(found, check.value, "noise" if check.value else "same")
    return Delta(found, check.value, "better" if check.value < 0 else "worse")


def _incomparable(table: Predictions | None, baseline: Baseline | None) -> str:
    if baseline is None:
        return "no baseline was accepted yet"
    if table is None:
        return "there are no predictions to compare with the baseline's"
    if table.labels != baseline.predictions.labels:
        return f"the baseline decides between {', '.join(baseline.predictions.labels)}"
    if table.dataset_id() != baseline.predictions.dataset_id():
        return "the baseline was measured on other selfies"
    return ""


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)

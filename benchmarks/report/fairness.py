"""On whom errors fall, for the report: gaps between the values of a factor, and two factors looked at together.

Pure: metrics/measure.json in, rows of tables out. A slice too small to rate is None and reads "too few".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.report.result_fields import Bounded, bounded, section
from benchmarks.report.robustness import heat

_JOIN = " x "


@dataclass(frozen=True, slots=True)
class Gap:
    """How far the rates of one factor's values lie apart, and the values on which most errors fall."""

    factor: str
    fnr_gap: float
    fnr_worst: str
    fpr_gap: float
    fpr_worst: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One pair of values: accuracy with its interval, selfies, and how far it lies below the whole, 0..1."""

    accuracy: Bounded
    count: int
    heat: float


@dataclass(frozen=True, slots=True)
class PairTable:
    """Two factors: the second one's values above the columns, the first one's before the rows."""

    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell | None]]]


@dataclass(frozen=True, slots=True)
class Fairness:
    """What the report shows; empty where selfies carry no factors."""

    gaps: Sequence[Gap]
    pairs: Sequence[PairTable]


def fairness(measured: Mapping[str, Any]) -> Fairness:
    """Gather both from metrics/measure.json, the widest gap first."""
    odds = section(measured, "equalised_odds")
    gaps = [
        Gap(name, each["fnr_gap"], each["fnr_worst"], each["fpr_gap"], each["fpr_worst"])
        for name, each in sorted(odds.items(), key=lambda item: -item[1]["gap"])
    ]
    whole = section(measured, "checkpoint").get("accuracy")
    tables = [_table(title, values, whole) for title, values in section(measured, "slice_pairs").items()]
    return Fairness(gaps, tables)


def _table(title: str, values: Mapping[str, Mapping[str, Any]], whole: float | None) -> PairTable:
    names = [tuple(value.split(_JOIN, 1)) for value in values]
    firsts, seconds = (list(dict.fromkeys(name[at] for name in names)) for at in (0, 1))
    rows = [
        (first, [_cell(values.get(f"{first}{_JOIN}{second}"), whole) for second in sorted(seconds)]) for first in firsts
    ]
    return PairTable(title, sorted(seconds), rows)


def _cell(figures: Mapping[str, Any] | None, whole: float | None) -> Cell | None:
    """None where no selfie is such, or too few are."""
    if figures is None or figures.get("accuracy") is None:
        return None
    return Cell(bounded(figures, "accuracy"), figures["count"], heat(figures["accuracy"], whole))

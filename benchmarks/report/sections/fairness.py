"""Report section: how unequally errors fall on the values of a factor, and accuracy by pairs of factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.evaluation.estimates import Estimate
from benchmarks.evaluation.measurement import EqualisedOdds, Measurement, SliceFigures
from benchmarks.report.sections.robustness import heat

_JOIN = " x "
"""Between the two names, or the two values, of a pair in ``Measurement.slice_pairs``."""


@dataclass(frozen=True, slots=True)
class PairCell:
    """The selfies that share a pair of values; ``heat`` in [0, 1]: how far they lie below the overall accuracy."""

    accuracy: Estimate
    count: int
    heat: float


@dataclass(frozen=True, slots=True)
class PairTable:
    """Accuracy by two factors: values of the second are columns, values of the first are rows; None: too few."""

    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[PairCell | None]]]


@dataclass(frozen=True, slots=True)
class Fairness:
    """The section; empty where the selfies have no factors.

    Attributes:
        odds: (factor, its gaps), the widest gap first.
        pairs: One table per pair of factors.
    """

    odds: Sequence[tuple[str, EqualisedOdds]] = ()
    pairs: Sequence[PairTable] = ()


def fairness(measurement: Measurement | None) -> Fairness:
    """Build the section."""
    if measurement is None:
        return Fairness()
    overall = measurement.checkpoint.accuracy
    return Fairness(
        odds=sorted(measurement.equalised_odds.items(), key=lambda item: -item[1].gap),
        pairs=[_table(title, values, overall) for title, values in measurement.slice_pairs.items()],
    )


def _table(title: str, values: Mapping[str, SliceFigures], overall: Estimate | None) -> PairTable:
    names = [tuple(value.split(_JOIN, 1)) for value in values]
    firsts, seconds = dict.fromkeys(name[0] for name in names), sorted({name[1] for name in names})
    rows = [(first, [_cell(values.get(f"{first}{_JOIN}{second}"), overall) for second in seconds]) for first in firsts]
    return PairTable(title, seconds, rows)


def _cell(figures: SliceFigures | None, overall: Estimate | None) -> PairCell | None:
    if figures is None or figures.accuracy is None:
        return None
    return PairCell(figures.accuracy, figures.count, heat(figures.accuracy, overall))

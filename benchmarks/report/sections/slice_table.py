"""Report section: accuracy of the checkpoint by factor value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.evaluation.estimates import Estimate
from benchmarks.evaluation.measurement import SetFigures


@dataclass(frozen=True, slots=True)
class SliceRow:
    """The selfies that share one factor's value; ``accuracy`` is None where they are too few."""

    factor: str
    value: str
    count: int
    accuracy: Estimate | None


def slice_table(figures: SetFigures | None) -> dict[str, list[SliceRow]]:
    """Factor -> its slices, lowest accuracy first, slices without accuracy last."""
    slices = figures.slices if figures else {}
    return {
        factor: sorted(
            (SliceRow(factor, value, row.count, row.accuracy) for value, row in values.items()),
            key=lambda row: (row.accuracy is None, row.accuracy.value if row.accuracy else 0.0, row.value),
        )
        for factor, values in slices.items()
    }


def worst_slice(table: Mapping[str, Sequence[SliceRow]]) -> SliceRow | None:
    """The slice with the lowest accuracy; among equals the one with the most selfies."""
    rated = [(row.accuracy.value, -row.count, row) for rows in table.values() for row in rows if row.accuracy]
    return min(rated, key=lambda ranked: ranked[:2])[2] if rated else None


def lower_bounds(table: Mapping[str, Sequence[SliceRow]]) -> list[float]:
    """Lower ends of all intervals, for the axis of the section."""
    return [row.accuracy.low for rows in table.values() for row in rows if row.accuracy]

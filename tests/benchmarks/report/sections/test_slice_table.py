"""Section of the report on slices."""

from __future__ import annotations

from benchmarks.evaluation.estimates import Estimate
from benchmarks.evaluation.measurement import Measurement, SliceFigures
from benchmarks.report.sections.slice_table import lower_bounds, slice_table, worst_slice
from tests.benchmarks.evaluation.measurements import full_measurement


def rated(accuracy: float, count: int) -> SliceFigures:
    return SliceFigures(count=count, accuracy=Estimate(value=accuracy, low=accuracy - 0.1, high=accuracy + 0.05))


def measured(**values: SliceFigures) -> Measurement:
    return full_measurement().model_copy(update={"slices": {"light": values}})


def test_the_lowest_accuracy_comes_first_and_slices_without_one_last() -> None:
    table = slice_table(measured(dusk=SliceFigures(count=2), day=rated(0.9, 30), night=rated(0.7, 40)))
    assert [row.value for row in table["light"]] == ["night", "day", "dusk"]


def test_the_worst_slice_is_the_lowest_and_among_equals_the_largest() -> None:
    worst = worst_slice(slice_table(measured(day=rated(0.7, 30), night=rated(0.7, 40), dusk=rated(0.9, 90))))
    assert worst is not None
    assert (worst.factor, worst.value, worst.count) == ("light", "night", 40)


def test_without_accuracies_there_is_no_worst_slice_and_no_bound() -> None:
    table = slice_table(measured(dusk=SliceFigures(count=2)))
    assert worst_slice(table) is None
    assert lower_bounds(table) == []
    assert slice_table(None) == {}

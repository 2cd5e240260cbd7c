"""Section of the report on how unequally errors fall."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.evaluation.estimates import Estimate
from benchmarks.evaluation.measurement import EqualisedOdds, Measurement, SliceFigures
from benchmarks.report import stage as report
from benchmarks.report.inputs import ReportInput
from benchmarks.report.sections.fairness import Fairness, fairness
from pipeline.config.params import ReportParams
from tests.benchmarks.evaluation.measurements import full_measurement


def rated(accuracy: float, count: int = 40) -> SliceFigures:
    return SliceFigures(count=count, accuracy=Estimate(value=accuracy, low=accuracy - 0.1, high=accuracy + 0.05))


@pytest.fixture
def measurement() -> Measurement:
    """Two factors with gaps, and the four pairs of their values; the checkpoint's accuracy is 90 %."""
    odds = {
        "light": EqualisedOdds(gap=0.03, fnr_gap=0.03, fnr_worst="night", fpr_gap=0.01, fpr_worst="day"),
        "skin_tone": EqualisedOdds(gap=0.12, fnr_gap=0.12, fnr_worst="monk_10", fpr_gap=0.02, fpr_worst="monk_01"),
    }
    pairs = {
        "skin_tone x light": {
            "monk_01 x day": rated(0.95),
            "monk_01 x night": rated(0.85),
            "monk_10 x day": SliceFigures(count=3),
            "monk_10 x night": rated(0.5),
        }
    }
    return full_measurement().model_copy(update={"equalised_odds": odds, "slice_pairs": pairs})


def test_the_widest_gap_comes_first(measurement: Measurement) -> None:
    (factor, odds), (other, _) = fairness(measurement).odds
    assert (factor, odds.fnr_worst, other) == ("skin_tone", "monk_10", "light")


def test_the_heat_of_a_pair_is_how_far_it_lies_below_the_overall_accuracy(measurement: Measurement) -> None:
    (table,) = fairness(measurement).pairs
    assert (table.title, table.columns) == ("skin_tone x light", ["day", "night"])
    (_, light), (_, dark) = table.rows
    assert [cell.heat if cell else None for cell in (*light, *dark)] == [0, pytest.approx(0.2), None, 1]


def test_the_page_shows_gaps_and_pairs_and_where_selfies_are_too_few(measurement: Measurement) -> None:
    inputs = ReportInput("helmet", "Does the rider wear a helmet?", measurement=measurement)
    html = report.run(ReportParams(sample_images=0, worst_images=0), inputs).html
    assert "12.0\u00a0points</td><td>monk_10" in html
    assert html.count("too few</td>") == 1
    assert 'title="40.0\u00a0% to 55.0\u00a0%, 40 selfies"' in html


def test_without_factors_the_section_is_empty(measurement: Measurement) -> None:
    bare = measurement.model_copy(update={"equalised_odds": {}, "slice_pairs": {}})
    assert fairness(bare) == Fairness([], [])
    assert fairness(None) == Fairness()


def test_without_an_overall_accuracy_no_cell_is_red(measurement: Measurement) -> None:
    unrated = measurement.checkpoint.model_copy(update={"accuracy": None})
    (table,) = fairness(measurement.model_copy(update={"checkpoint": unrated})).pairs
    assert {cell.heat for _, cells in table.rows for cell in cells if cell} == {0.0}
    inputs = ReportInput("helmet", "?", measurement=measurement.model_copy(update={"checkpoint": unrated}))
    page = report.run(ReportParams(sample_images=0, worst_images=0), replace(inputs)).html
    assert "overall accuracy of unmeasured" in page

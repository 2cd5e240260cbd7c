"""On whom errors fall, on the page."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.report import stage as report
from benchmarks.report.fairness import fairness
from benchmarks.report.inputs import ReportInput
from pipeline.config.params import ReportParams


def rated(accuracy: float, count: int = 40) -> dict[str, Any]:
    return {"count": count, "accuracy": accuracy, "accuracy_low": accuracy - 0.1, "accuracy_high": accuracy + 0.05}


MEASURED: dict[str, Any] = {
    "checkpoint": {"accuracy": 0.9},
    "equalised_odds": {
        "light": {"gap": 0.03, "fnr_gap": 0.03, "fnr_worst": "night", "fpr_gap": 0.01, "fpr_worst": "day"},
        "skin_tone": {"gap": 0.12, "fnr_gap": 0.12, "fnr_worst": "monk_10", "fpr_gap": 0.02, "fpr_worst": "monk_01"},
    },
    "slice_pairs": {
        "skin_tone x light": {
            "monk_01 x day": rated(0.95),
            "monk_01 x night": rated(0.85),
            "monk_10 x day": {"count": 3, "accuracy": None},
            "monk_10 x night": rated(0.5),
        }
    },
}


def test_the_widest_gap_comes_first_with_whom_it_falls_on() -> None:
    first, second = fairness(MEASURED).gaps
    assert (first.factor, first.fnr_worst, second.factor) == ("skin_tone", "monk_10", "light")


def test_pairs_are_a_table_whose_heat_is_how_far_a_cell_lies_below_all() -> None:
    (table,) = fairness(MEASURED).pairs
    assert (table.title, table.columns) == ("skin_tone x light", ["day", "night"])
    (_, fair), (_, dark) = table.rows
    assert [cell.heat if cell else None for cell in (*fair, *dark)] == [0, pytest.approx(0.2), None, 1]


def test_the_page_shows_both_and_says_where_there_are_too_few() -> None:
    found = ReportInput("helmet", "Does the rider wear a helmet?", metrics={"measure": MEASURED})
    html = report.run(ReportParams(sample_images=0, worst_images=0), found).html
    assert "12.0\u00a0points</td><td>monk_10" in html
    assert html.count("too few</td>") == 1
    assert 'title="40.0\u00a0% to 55.0\u00a0%, 40 selfies"' in html


def test_selfies_without_factors_have_neither() -> None:
    nothing = fairness({"checkpoint": {"accuracy": 0.9}, "equalised_odds": {}, "slice_pairs": {}})
    assert (nothing.gaps, nothing.pairs) == ([], [])

"""Slices: which rows they hold, and how unequally errors fall on the values of a factor."""

from __future__ import annotations

import pytest

from benchmarks.evaluation.measurement import SliceFigures
from benchmarks.evaluation.slices import equalised_odds, rows_by_pair, rows_by_value

FACTORS = [{"skin": "a", "light": "day"}, {"skin": "b", "light": "day"}, {"skin": "a"}]


def test_rows_are_grouped_by_value_with_the_named_factors_first() -> None:
    groups = rows_by_value(FACTORS, ("light",))
    assert list(groups) == ["light", "skin"]
    assert {value: rows.tolist() for value, rows in groups["skin"].items()} == {"a": [0, 2], "b": [1]}


def test_rows_without_one_factor_of_a_pair_belong_to_no_pair() -> None:
    groups = rows_by_pair(FACTORS, [("skin", "light"), ("skin", "age")])
    assert {value: rows.tolist() for value, rows in groups["skin x light"].items()} == {"a x day": [0], "b x day": [1]}
    assert list(groups) == ["skin x light"]


def test_equalised_odds_are_the_widest_gaps_between_values_of_a_factor() -> None:
    slices = {
        "skin_tone": {
            "monk_01": SliceFigures(count=50, fnr=0.02, fpr=0.05),
            "monk_05": SliceFigures(count=50, fnr=0.10, fpr=0.01),
            "monk_10": SliceFigures(count=50, fnr=0.06, fpr=0.04),
            "rare": SliceFigures(count=2),
        },
        "headwear": {"cap": SliceFigures(count=50, fpr=0.1), "road_helmet": SliceFigures(count=50, fnr=0.1)},
        "glasses": {"none": SliceFigures(count=50, fnr=0.1, fpr=0.1)},
    }
    odds = equalised_odds(slices)
    assert list(odds) == ["skin_tone"]
    gaps = odds["skin_tone"]
    assert (gaps.fnr_worst, gaps.fpr_worst) == ("monk_05", "monk_01")
    assert [gaps.gap, gaps.fnr_gap, gaps.fpr_gap] == pytest.approx([0.08, 0.08, 0.04])

"""Figures as the reader of the report sees them."""

from __future__ import annotations

import pytest

from benchmarks.report import formatting
from benchmarks.report.baseline_changes import Change
from benchmarks.report.formatting import change_in_percent, change_in_points, markdown_cell
from tests.benchmarks.report.pages import HOSTILE


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (formatting.percent(0.98765), "98.8\u00a0%"),
        (formatting.percent(None), "unmeasured"),
        (formatting.percent(float("nan")), "unmeasured"),
        (formatting.percent(True), "unmeasured"),
        (formatting.percent(0), "0.0\u00a0%"),
        (formatting.number(1234567), "1,234,567"),
        (formatting.number(0.0123412), "0.01234"),
        (formatting.milliseconds(0.5), "0.50\u00a0ms"),
        (formatting.milliseconds(1234.5), "1234\u00a0ms"),
        (formatting.megabytes(6_083_654), "6.08\u00a0MB"),
        (formatting.megabytes(113_000_000), "113\u00a0MB"),
        (formatting.points(1.25), "1.2\u00a0points"),
        (formatting.minutes(100), "100\u00a0s"),
        (formatting.minutes(600), "10\u00a0min"),
        (formatting.check_figure(16_000_000, "size_bytes"), "16.00\u00a0MB"),
        (formatting.check_figure(-0.012, "accuracy_vs_baseline"), "-1.20\u00a0%"),
        (formatting.check_figure(2, "required"), "2"),
        (formatting.check_figure(1.04, "fnr_vs_baseline"), "1.04"),
    ],
)
def test_values_are_shown_with_their_units(shown: str, expected: str) -> None:
    assert shown == expected


@pytest.mark.parametrize(
    ("change", "points", "percent"),
    [
        (Change(0.9), "", ""),
        (Change(0.9, 0.0, "same"), " =", " ="),
        (Change(0.9, 0.0, "noise"), " \u2192\u00a0+0.00 noise", " \u2192\u00a0+0.0\u00a0% noise"),
        (Change(0.9, 0.02, "better"), " \u2191\u00a0+2.00 better", " \u2191\u00a0+2.0\u00a0% better"),
        (Change(0.9, -0.02, "worse"), " \u2193\u00a0-2.00 **worse**", " \u2193\u00a0-2.0\u00a0% **worse**"),
    ],
)
def test_changes_have_an_arrow_and_an_assessment(change: Change, points: str, percent: str) -> None:
    assert change_in_points(change) == points
    assert change_in_percent(change) == percent


def test_long_text_is_cut_before_its_markup_is_escaped() -> None:
    assert markdown_cell("a|b\n<i>") == "a\\|b &lt;i&gt;"
    assert markdown_cell("word " * 100, 12) == "word word w\u2026"
    assert len(markdown_cell("|`*_[]<>~\\" * 200)) <= 5 * 240
    assert "<" not in markdown_cell(HOSTILE)

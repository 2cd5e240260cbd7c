"""SVG charts: values are placed correctly, names are escaped, nothing is drawn outside."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from benchmarks.evaluation.estimates import Estimate
from benchmarks.report.charts.svg import Axes, axis_start, count_bar, interval_bar, line_chart, ticks

AXES = Axes((0.0, 10.0), (0.0, 1.0), ("epoch", "accuracy"))


def numbers(text: str, name: str) -> list[float]:
    return [float(value) for value in re.findall(rf'{name}="([0-9.-]+)"', text)]


def test_axes_run_from_the_lower_left_to_the_upper_right() -> None:
    left, bottom = AXES.place((0.0, 0.0))
    right, top = AXES.place((10.0, 1.0))
    assert left < right
    assert top < bottom
    assert AXES.place((5.0, 0.5)) == pytest.approx(((left + right) / 2, (top + bottom) / 2))


def test_values_out_of_range_are_placed_on_the_edge() -> None:
    assert AXES.place((-5.0, 2.0)) == AXES.place((0.0, 1.0))


def test_a_chart_of_one_value_has_axes() -> None:
    flat = Axes((1.0, 1.0), (0.5, 0.5), ("epoch", "loss"))
    assert "polyline" in line_chart({"loss": [(1.0, 0.5)]}, flat)


def test_every_line_is_well_formed_and_named_in_the_legend() -> None:
    chart = line_chart({"a": [(0, 0), (10, 1)], "b": [(0, 1), (10, 0)]}, AXES, diagonal=True)
    figure = ET.fromstring(chart)  # noqa: S314 - our own text
    assert len(figure.findall(".//polyline")) == 2
    assert [span.text or span[0].tail for span in figure.findall(".//span")] == ["a", "b"]
    assert len(figure.findall(".//line[@class='guide']")) == 1


def test_names_cannot_break_out_of_a_chart() -> None:
    chart = line_chart({'"><script>alert(1)</script>': [(0, 0)]}, Axes((0, 1), (0, 1), ("<b>", "&")))
    assert "<script>" not in chart
    assert "<b>" not in chart
    ET.fromstring(chart)  # noqa: S314 - our own text


def test_an_interval_bar_spans_its_interval() -> None:
    bar = interval_bar(Estimate(value=0.75, low=0.5, high=1.0), 0.5, None)
    start, width = numbers(bar, " x")[0], numbers(bar, " width")[0]
    assert (start, start + width) == pytest.approx((4, 236))
    assert numbers(bar, "cx") == [120.0]
    assert "75.0%, 50.0% to 100.0%" in bar


def test_an_interval_below_the_overall_share_has_another_colour() -> None:
    assert 'class="span low"' in interval_bar(Estimate(value=0.6, low=0.5, high=0.7), 0.5, 0.8)
    assert 'class="span even"' in interval_bar(Estimate(value=0.6, low=0.5, high=0.9), 0.5, 0.8)


def test_counts_are_drawn_relative_to_the_largest() -> None:
    assert numbers(count_bar(50, 100), " width") == [120.0]
    assert numbers(count_bar(0, 0), " width") == [1.5]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (1.0, 10.0, [2, 4, 6, 8, 10]),
        (0.9, 0.9, [0.9]),
        (-1.0, 1.0, [-1, -0.5, 0, 0.5, 1]),
    ],
)
def test_ticks_are_round_and_inside(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize(("lows", "start"), [([0.93, 0.87], 0.8), ([0.95], 0.9), ([0.99, 1.0], 0.9), ([], 0.9)])
def test_an_axis_of_shares_starts_at_a_round_tenth_below_the_lowest(lows: list[float], start: float) -> None:
    assert axis_start(lows) == pytest.approx(start)

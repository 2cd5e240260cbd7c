"""The report's curves: few enough lines to be read, and each where its figures put it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np

from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from benchmarks.report.inputs import ReportInput
from benchmarks.report.line_charts import charts, chosen
from benchmarks.report.svg import Axes
from tests.benchmarks.small_task import NAMES

Table = Callable[..., Predictions]
RECIPES = ("float32", "float16", "wi8", "palette6", "static")
COLUMNS = [f"{format_name}-{recipe}" for format_name in ("coreml", "onnx", "tflite") for recipe in RECIPES][:14]


def many(table: Predictions, wrong: dict[str, int]) -> Predictions:
    """Fourteen artifacts that answer as the checkpoint does, but for so many of the last rows."""
    probabilities = {CHECKPOINT: table.probabilities[CHECKPOINT]}
    for name in COLUMNS:
        values = table.probabilities[CHECKPOINT].copy()
        flipped = len(values) - wrong.get(name, 5)
        values[flipped:] = values[flipped:, ::-1]
        probabilities[name] = values
    return replace(table, probabilities=probabilities, thresholds=dict.fromkeys(probabilities, 0.5))


def found(table: Predictions) -> ReportInput:
    return ReportInput("helmet", "?", predictions=table)


def test_the_checkpoint_the_best_and_the_worst_of_each_format_are_drawn(table: Table) -> None:
    wrong = {"coreml-palette6": 30, "onnx-static": 8, "tflite-wi8": 9, "onnx-float16": 2}
    made = many(table(400), wrong)
    assert chosen(made) == [CHECKPOINT, "coreml-palette6", "onnx-float16", "onnx-static", "tflite-wi8"]
    for name, chart in charts(found(made)).items():
        figure = ET.fromstring(chart)  # noqa: S314 - our own text
        assert len(figure.findall(".//polyline")) == 5, name
        assert [span[0].tail for span in figure.findall(".//span")] == chosen(made), name


def test_of_equally_accurate_artifacts_the_farther_from_the_checkpoint_is_the_worse(table: Table) -> None:
    made = many(table(400), {})
    made.probabilities["onnx-wi8"][:] = made.probabilities["onnx-wi8"] * 0.98 + 0.01
    assert "onnx-wi8" in chosen(made)
    assert "onnx-float32" not in chosen(made)


def test_artifacts_with_broken_answers_are_not_drawn(table: Table) -> None:
    made = many(table(400), {"onnx-static": 50})
    made.probabilities["onnx-static"][7] = np.nan
    assert "onnx-static" not in chosen(made)
    alone = replace(made, probabilities={CHECKPOINT: made.probabilities[CHECKPOINT]})
    assert chosen(alone) == [CHECKPOINT]
    assert set(charts(found(alone))) == {"roc", "calibration", "coverage"}


def test_asking_the_unsure_again_raises_the_accuracy_of_the_rest(table: Table) -> None:
    made = table(200, dict.fromkeys((CHECKPOINT, *NAMES), 20))
    for values in made.probabilities.values():
        values[:20] = values[:20] * 0.2 + 0.4  # the wrong answers are the least sure
    chart = charts(found(made))["coverage"]
    assert "share asked for another picture" in chart
    drawn = re.search(r'class="line s0" points="([^"]*)"', chart)
    assert drawn is not None
    first, *_, last = drawn[1].split()
    axes = Axes((0.0, 0.5), (0.9, 1.0), ("", ""))
    assert first == "{:.1f},{:.1f}".format(*axes.place((0.0, 0.9)))
    assert last == "{:.1f},{:.1f}".format(*axes.place((0.1, 1.0)))


def test_no_answers_make_no_curves(table: Table) -> None:
    assert charts(found(table(0))) == {}
    assert charts(ReportInput("helmet", "?")) == {}

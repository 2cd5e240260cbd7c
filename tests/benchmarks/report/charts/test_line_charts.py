"""Line charts of the report: few enough lines to read, each where its figures put it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np

from benchmarks.evaluation.measurement import Measurement
from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from benchmarks.report.charts.line_charts import columns_to_draw, draw_charts
from benchmarks.report.charts.svg import Axes
from benchmarks.report.inputs import ReportInput
from tests.benchmarks.evaluation.measurements import artifact_figures, full_measurement
from tests.benchmarks.small_task import NAMES

Table = Callable[..., Predictions]
RECIPES = ("float32", "float16", "wi8", "palette6", "static")
PAIRS = [(format_name, recipe) for format_name in ("coreml", "onnx", "tflite") for recipe in RECIPES][:14]
FOURTEEN = [artifact_figures(format_name, recipe) for format_name, recipe in PAIRS]


def fourteen_artifacts(table: Predictions, wrong: dict[str, int]) -> Predictions:
    """Fourteen artifacts with the checkpoint's probabilities, except for the given number of flipped last rows."""
    probabilities = {CHECKPOINT: table.probabilities[CHECKPOINT]}
    for figures in FOURTEEN:
        values = table.probabilities[CHECKPOINT].copy()
        first_flipped = len(values) - wrong.get(figures.name, 5)
        values[first_flipped:] = values[first_flipped:, ::-1]
        probabilities[figures.name] = values
    return replace(table, probabilities=probabilities, thresholds=dict.fromkeys(probabilities, 0.5))


def measured(names: list[str] | None = None) -> Measurement:
    artifacts = {figures.name: figures for figures in FOURTEEN if names is None or figures.name in names}
    return full_measurement().model_copy(update={"artifacts": artifacts})


def inputs(table: Predictions, measurement: Measurement | None = None) -> ReportInput:
    return ReportInput("helmet", "?", measurement=measurement or measured(), predictions=table)


def test_the_checkpoint_the_best_and_the_worst_of_each_format_are_drawn(table: Table) -> None:
    predictions = fourteen_artifacts(
        table(400), {"coreml-palette6": 30, "onnx-static": 8, "tflite-wi8": 9, "onnx-float16": 2}
    )
    names = [CHECKPOINT, "coreml-palette6", "onnx-float16", "onnx-static", "tflite-wi8"]
    assert columns_to_draw(predictions, measured()) == names
    for name, chart in draw_charts(inputs(predictions)).items():
        figure = ET.fromstring(chart)  # noqa: S314 - our own text
        assert len(figure.findall(".//polyline")) == 5, name
        assert [span[0].tail for span in figure.findall(".//span")] == names, name


def test_between_equally_accurate_artifacts_the_one_farther_from_the_checkpoint_is_the_worse(table: Table) -> None:
    predictions = fourteen_artifacts(table(400), {})
    predictions.probabilities["onnx-wi8"][:] = predictions.probabilities["onnx-wi8"] * 0.98 + 0.01
    names = columns_to_draw(predictions, measured())
    assert "onnx-wi8" in names
    assert "onnx-float32" not in names


def test_the_format_is_a_field_and_not_a_part_of_the_name(table: Table) -> None:
    """A format with a hyphen in its name is one format."""
    figures = [artifact_figures("core-ml", "float32"), artifact_figures("core-ai", "float32")]
    values = table(400).probabilities[CHECKPOINT]
    names = [CHECKPOINT, *(row.name for row in figures)]
    predictions = replace(table(400), probabilities=dict.fromkeys(names, values), thresholds=dict.fromkeys(names, 0.5))
    measurement = full_measurement().model_copy(update={"artifacts": {row.name: row for row in figures}})
    assert columns_to_draw(predictions, measurement) == names


def test_artifacts_with_probabilities_that_are_not_finite_are_not_drawn(table: Table) -> None:
    predictions = fourteen_artifacts(table(400), {"onnx-static": 50})
    predictions.probabilities["onnx-static"][7] = np.nan
    assert "onnx-static" not in columns_to_draw(predictions, measured())


def test_without_artifacts_only_the_checkpoint_is_drawn(table: Table) -> None:
    alone = replace(table(400), probabilities={CHECKPOINT: table(400).probabilities[CHECKPOINT]})
    assert columns_to_draw(alone, measured()) == [CHECKPOINT]
    assert columns_to_draw(table(400), None) == [CHECKPOINT]
    assert set(draw_charts(inputs(alone))) == {"roc", "calibration", "coverage"}


def test_abstaining_on_the_least_certain_selfies_raises_the_accuracy_on_the_others(table: Table) -> None:
    predictions = table(200, dict.fromkeys((CHECKPOINT, *NAMES), 20))
    for values in predictions.probabilities.values():
        values[:20] = values[:20] * 0.2 + 0.4  # the wrong decisions are the least certain
    chart = draw_charts(inputs(predictions, measured([])))["coverage"]
    assert "abstention rate" in chart
    drawn = re.search(r'class="line s0" points="([^"]*)"', chart)
    assert drawn is not None
    first, *_, last = drawn[1].split()
    axes = Axes((0.0, 0.5), (0.9, 1.0), ("", ""))
    assert first == "{:.1f},{:.1f}".format(*axes.place((0.0, 0.9)))
    assert last == "{:.1f},{:.1f}".format(*axes.place((0.1, 1.0)))


def test_without_predictions_there_are_no_charts(table: Table) -> None:
    assert draw_charts(inputs(table(0))) == {}
    assert draw_charts(ReportInput("helmet", "?")) == {}


def test_training_columns_are_drawn_in_the_panel_that_their_names_belong_to() -> None:
    curve = [{"epoch": str(i), "train_loss": str(1 / (i + 1)), "val_accuracy": str(i / 10)} for i in range(9)]
    charts = draw_charts(ReportInput("helmet", "?", training_curve=curve))
    assert {name: ("train_loss" in chart, "val_accuracy" in chart) for name, chart in charts.items()} == {
        "training loss": (True, False),
        "training share": (False, True),
    }

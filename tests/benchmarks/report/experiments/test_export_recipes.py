"""Section of the report on export recipes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from benchmarks.report import stage as report
from benchmarks.report.experiments.export_recipes import ExportRecipesResult, export_recipe_table
from benchmarks.report.experiments.results import ExperimentResults
from benchmarks.report.inputs import ReportInput
from pipeline.config.params import ReportParams

PARAMS = ReportParams(sample_images=0, worst_images=0)
EMPTY = ReportInput("helmet", "Does the rider wear a helmet?")


def row(drop: float, agreement: float, fnr: float) -> dict[str, Any]:
    decisions = {"accuracy_drop_points": drop, "agreement": agreement, "agreement_sure": 1.0, "fnr": fnr}
    return {**decisions, "size_bytes": 2_000_000, "arm64_instructions": None}


@pytest.fixture
def exports() -> ExportRecipesResult:
    """The content of exports.json: one backbone on selfies and on photographs, one artifact without predictions."""
    checkpoint = {"accuracy": 0.9, "accuracy_low": 0.88, "accuracy_high": 0.92, "fnr": 0.10}
    return ExportRecipesResult.model_validate(
        {
            "mobilenetv2_100": {
                "checkpoint": checkpoint,
                "tflite-static_wi8_ai8_plain": row(4.2, 0.93, 0.15),
                "tflite-static_wi8_ai8": row(-0.1, 0.9935, 0.105),
                "onnx-float32": row(0.0, 1.0, 0.10),
                "coreml-broken": {"size_bytes": 10, "arm64_instructions": None},
            },
            "photographs": {
                "mobilenetv2_100": {"checkpoint": {**checkpoint, "fnr": 0.0}, "onnx-float32": row(0, 1, 0)}
            },
            "params": {"images": 6400},
            "machine": {"cpu": "A Fine CPU", "cores": 2},
        }
    )


def test_toolkit_defaults_stand_below_the_recipe_of_the_same_name(exports: ExportRecipesResult) -> None:
    first, photographs = export_recipe_table(exports).backbones
    assert [(row.name, row.toolkit_defaults) for row in first.rows] == [
        ("coreml-broken", False),
        ("onnx-float32", False),
        ("tflite-static_wi8_ai8", False),
        ("tflite-static_wi8_ai8", True),
    ]
    assert photographs.title == "mobilenetv2_100, on photographs"


def test_the_fnr_ratio_is_relative_to_the_checkpoint(exports: ExportRecipesResult) -> None:
    first, photographs = export_recipe_table(exports).backbones
    assert first.rows[2].fnr_ratio == pytest.approx(1.05)
    assert first.rows[0].fnr_ratio is None
    assert photographs.rows[0].fnr_ratio is None


def test_the_page_shows_recipes_and_what_was_not_measured(exports: ExportRecipesResult) -> None:
    html = report.run(PARAMS, replace(EMPTY, experiments=ExperimentResults(export_recipes=exports))).html
    assert "mobilenetv2_100, 90.0\u00a0% before export" in html
    assert "tflite-static_wi8_ai8, toolkit defaults" in html
    assert "99.35\u00a0%" in html
    assert "A Fine CPU, 2 cores" in html
    broken = html[html.index("coreml-broken") :]
    assert broken[: broken.index("</tr>")].count("unmeasured") == 4


def test_without_a_result_the_page_names_the_command_that_makes_it() -> None:
    assert export_recipe_table(None).backbones == ()
    assert "<code>gossamer benchmark export_recipes</code>" in report.run(PARAMS, EMPTY).html

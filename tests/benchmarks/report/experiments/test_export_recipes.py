"""What each recipe costs, on the page: figures of every backbone, plain use beside them, and what is not measured."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.report import stage as report
from benchmarks.report.experiments.export_recipes import gaps, recipes
from benchmarks.report.inputs import ReportInput
from pipeline.config.params import ReportParams

PARAMS = ReportParams(sample_images=0, worst_images=0)
NOTHING = ReportInput("helmet", "Does the rider wear a helmet?")


def row(drop: float, agreement: float, fnr: float) -> dict[str, Any]:
    told = {"accuracy_drop_points": drop, "agreement": agreement, "agreement_sure": 1.0, "fnr": fnr}
    return {**told, "size_bytes": 2_000_000, "arm64_instructions": None}


@pytest.fixture
def exports() -> dict[str, Any]:
    checkpoint = {"accuracy": 0.9, "accuracy_low": 0.88, "accuracy_high": 0.92, "fnr": 0.10}
    return {
        "mobilenetv2_100": {
            "checkpoint": checkpoint,
            "tflite-static_wi8_ai8_plain": row(4.2, 0.93, 0.15),
            "tflite-static_wi8_ai8": row(-0.1, 0.9935, 0.105),
            "onnx-float32": row(0.0, 1.0, 0.10),
            "coreml-broken": {"size_bytes": 10, "arm64_instructions": None},
        },
        "photographs": {"mobilenetv2_100": {"checkpoint": {**checkpoint, "fnr": 0.0}, "onnx-float32": row(0, 1, 0)}},
        "params": {"images": 6400},
        "machine": {"cpu": "A Fine CPU", "cores": 2},
    }


def with_results(exports: dict[str, Any]) -> ReportInput:
    return ReportInput(NOTHING.policy, NOTHING.question, results={"exports": exports})


def test_rows_stand_by_format_and_plain_use_right_below_our_own(exports: dict[str, Any]) -> None:
    first, photographed = recipes(with_results(exports)).backbones
    assert [(each.name, each.plain) for each in first.rows] == [
        ("coreml-broken", False),
        ("onnx-float32", False),
        ("tflite-static_wi8_ai8", False),
        ("tflite-static_wi8_ai8", True),
    ]
    assert first.rows[2].fnr_ratio == pytest.approx(1.05)
    assert (first.rows[0].drop, first.rows[0].fnr_ratio) == (None, None)
    assert photographed.title == "mobilenetv2_100, on photographs"
    assert photographed.rows[0].fnr_ratio is None


def test_the_page_shows_both_and_says_what_an_artifact_did_not_answer(exports: dict[str, Any]) -> None:
    html = report.run(PARAMS, with_results(exports)).html
    assert "mobilenetv2_100, 90.0\u00a0% before export" in html
    assert "tflite-static_wi8_ai8, plain" in html
    assert "99.35\u00a0%" in html
    assert "A Fine CPU, 2 cores" in html
    broken = html[html.index("coreml-broken") :]
    assert broken[: broken.index("</tr>")].count("unmeasured") == 4


def test_without_a_result_the_page_names_the_command_that_makes_it() -> None:
    assert gaps(NOTHING) == {"benchmarks/results/exports.json": "run gossamer benchmark exports"}
    assert recipes(NOTHING).backbones == []
    assert "<code>gossamer benchmark exports</code>" in report.run(PARAMS, NOTHING).html

"""Section of the report on prompt alignment of the bundled Stable Diffusion."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from benchmarks.report import stage as report
from benchmarks.report.experiments.bundled_diffusion import (
    ATTRIBUTES,
    AttributeShares,
    BundledDiffusionResult,
    ShareCell,
    alignment_rows,
)
from benchmarks.report.experiments.results import ExperimentResults
from benchmarks.report.inputs import ReportInput
from pipeline.config.params import ReportParams
from tests.benchmarks.report.pages import section_text

PARAMS = ReportParams(sample_images=0, worst_images=0)
EMPTY = ReportInput("helmet", "Does the rider wear a helmet?")


@pytest.fixture
def embedded() -> dict[str, Any]:
    """The content of embedded.json."""
    agreement = {name: 0.9 - index / 100 for index, name in enumerate(ATTRIBUTES)}
    return {
        "agreement": agreement,
        "agreement_low": {name: share - 0.01 for name, share in agreement.items()},
        "agreement_high": {name: share + 0.01 for name, share in agreement.items()},
        "judge_on_rendered": dict.fromkeys(ATTRIBUTES, 0.995),
        "kid": 0.0123,
        "images_per_second": 5.6,
        "speedup_over_plain_loop": 3.2,
        "size_bytes": 9_000_000,
        "table": [{"steps": 4, "guidance": 2.5, **dict.fromkeys(ATTRIBUTES, 0.7)}],
        "machine": {"cpu": "A Fine CPU", "cores": 2},
    }


def test_the_table_has_one_row_per_setting(embedded: dict[str, Any]) -> None:
    result = BundledDiffusionResult.model_validate(embedded)
    html = report.run(PARAMS, replace(EMPTY, experiments=ExperimentResults(bundled_diffusion=result))).html
    text = section_text(html, "generated-vs-rendered")
    assert "Sampler setting helmet light glasses mask skin tone ±1 headwear" in text
    assert "as shipped 90.0 % 89.0 % to 91.0 % 89.0 %" in text
    assert "4 steps, guidance 2.5 70.0 % 70.0 %" in text
    assert text.endswith("rendered images" + 6 * " 99.5 %")
    assert "Size 9.00 MB, 5.6 images/s, 3.2 times the plain loop, KID 0.0123." in text
    assert "gossamer benchmark bundled_diffusion of unknown date, policy unknown, on A Fine CPU, 2 cores." in text


def test_shares_without_bounds_are_shown_without_an_interval(embedded: dict[str, Any]) -> None:
    bare = {name: value for name, value in embedded.items() if not name.startswith("agreement_")}
    assert alignment_rows(BundledDiffusionResult.model_validate(bare))[0].cells[0] == ShareCell(0.9)
    partial = BundledDiffusionResult.model_validate({"agreement": {"helmet": 0.9}, "table": []})
    assert [cell.value for cell in alignment_rows(partial)[0].cells] == [0.9, None, None, None, None, None]


def test_shares_are_in_the_order_of_the_attributes() -> None:
    numbered = AttributeShares.model_validate({name: index / 10 for index, name in enumerate(ATTRIBUTES)})
    assert numbered.shares() == tuple(index / 10 for index in range(len(ATTRIBUTES)))


def test_without_a_result_the_page_names_the_command_that_makes_it() -> None:
    assert alignment_rows(None) == []
    text = section_text(report.run(PARAMS, EMPTY).html, "generated-vs-rendered")
    assert "unmeasured: gossamer benchmark bundled_diffusion" in text

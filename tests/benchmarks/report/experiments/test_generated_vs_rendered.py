"""Section of the report on generated versus rendered training images."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from benchmarks.report import stage as report
from benchmarks.report.experiments.generated_vs_rendered import GeneratedVsRenderedResult, generated_vs_rendered
from benchmarks.report.experiments.results import ExperimentResults
from benchmarks.report.inputs import ReportInput
from pipeline.config.params import ReportParams
from tests.benchmarks.report.pages import HOSTILE, Page, section_text

PARAMS = ReportParams(sample_images=0, worst_images=0)
EMPTY = ReportInput("helmet", "Does the rider wear a helmet?")
SECTION = "generated-vs-rendered"


def source(accuracy: float) -> dict[str, Any]:
    return {
        "accuracy": accuracy,
        "accuracy_low": accuracy - 0.01,
        "accuracy_high": accuracy + 0.01,
        "seeds": [11, 12],
        "kept_images": 5800,
        "generate_seconds": 600.0,
        "train_seconds": [90.0, 110.0],
    }


@pytest.fixture
def compared() -> dict[str, Any]:
    """The content of compare.json."""
    return {
        "synthetic": source(0.941),
        "rendered": source(0.978),
        "mix": source(0.97),
        "gap_points": 3.7,
        "gap_points_low": 2.5,
        "gap_points_high": 4.9,
        "images": 6000,
        "selfies": 2000,
        "machine": {"cpu": "A Fine CPU", "cores": 2, "memory_gib": 8.0},
    }


def with_result(compared: dict[str, Any]) -> ReportInput:
    result = GeneratedVsRenderedResult.model_validate(compared)
    return replace(EMPTY, experiments=ExperimentResults(generated_vs_rendered=result))


def test_the_headline_gives_both_accuracies_the_gap_and_their_intervals(compared: dict[str, Any]) -> None:
    made = report.run(PARAMS, with_result(compared))
    text = section_text(made.html, SECTION)
    assert "Trained on generated images: 94.1 % (93.1 % to 95.1 %); trained on the same number of rendered" in text
    assert "rendered images: 97.8 %" in text
    assert "gap 3.7 points (2.5 to 4.9)." in text
    assert "6,000 images of each kind before curation, from the same prompts; 2 seeds (11, 12)" in text
    assert "2,000 rendered selfies" in text
    assert "half of each 97.0 % 96.0 % to 98.0 % 5,800 10 min 100 s" in text
    assert "gossamer benchmark generated_vs_rendered on A Fine CPU, 2 cores" in text


def test_the_comment_gives_the_same_figures_in_one_line(compared: dict[str, Any]) -> None:
    markdown = report.run(PARAMS, with_result(compared)).markdown
    line = next(line for line in markdown.splitlines() if line.startswith("Trained on"))
    assert " ".join(line.split()) == (
        "Trained on generated images: 94.1 % (93.1 % to 95.1 %); trained on the same number of rendered images: "
        "97.8 %; gap 3.7 points; 6,000 images, 2 seeds."
    )


def test_without_a_result_page_and_comment_name_the_command_that_makes_it() -> None:
    made = report.run(PARAMS, EMPTY)
    assert "Trained on generated images: unmeasured: gossamer benchmark generated_vs_rendered" in section_text(
        made.html, SECTION
    )
    assert "Trained on generated images: unmeasured: `gossamer benchmark generated_vs_rendered`." in made.markdown


def test_a_source_that_was_left_out_reads_unmeasured(compared: dict[str, Any]) -> None:
    made = report.run(PARAMS, with_result({name: compared[name] for name in ("rendered", "images", "selfies")}))
    text = section_text(made.html, SECTION)
    assert (
        "Trained on generated images: unmeasured: gossamer benchmark generated_vs_rendered; trained on the same number"
        in text
    )
    assert "gap unmeasured." in text
    assert (
        "Trained on generated images: unmeasured; trained on the same number of rendered images: 97.8" in made.markdown
    )


def test_a_result_with_accuracies_only_leaves_the_other_figures_empty() -> None:
    bare = {"accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95}
    section = generated_vs_rendered(GeneratedVsRenderedResult.model_validate({"synthetic": bare}))
    assert section.rendered is None
    assert section.gap_points is None
    assert (section.rows[0].kept_images, section.rows[0].train_seconds) == (None, None)
    assert Page(report.run(PARAMS, with_result({"synthetic": bare})).html).open == []


def test_text_of_a_result_is_escaped(compared: dict[str, Any]) -> None:
    hostile = {**compared, "machine": {"cpu": HOSTILE, "cores": 2}}
    page = Page(report.run(PARAMS, with_result(hostile)).html)
    assert page.open == []
    assert "script" not in page.tags

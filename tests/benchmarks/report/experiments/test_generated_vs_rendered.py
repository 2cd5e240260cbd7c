"""Section of the report on generated versus rendered training images."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from benchmarks.evaluation.conditions import SECTIONS, Conditions
from benchmarks.report import stage as report
from benchmarks.report.experiments.generated_vs_rendered import GeneratedVsRenderedResult, generated_vs_rendered
from benchmarks.report.experiments.results import ExperimentResults
from benchmarks.report.inputs import ReportInput
from pipeline.config.params import ReportParams
from tests.benchmarks.report.pages import HOSTILE, Page, section_text

PARAMS = ReportParams(sample_images=0, worst_images=0)
EMPTY = ReportInput("helmet", "Does the rider wear a helmet?")
SECTION = "generated-vs-rendered"
HERE = Conditions(policy="helmet", policy_hash="p", weights="w", params=dict.fromkeys(SECTIONS, "s"))


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
        "date": "2026-11-28",
        "params": {"images": 6000, "seeds": [11, 12]},
        "machine": {"cpu": "A Fine CPU", "cores": 2, "memory_gib": 8.0},
    }


def with_result(compared: dict[str, Any]) -> ReportInput:
    """A report of a run with the conditions of the result, which are recorded whole."""
    stored = {**compared, "conditions": HERE.model_dump()}
    result = GeneratedVsRenderedResult.model_validate(stored)
    return replace(EMPTY, experiments=ExperimentResults(generated_vs_rendered=result), conditions=HERE)


def test_the_headline_gives_both_accuracies_the_gap_and_their_intervals(compared: dict[str, Any]) -> None:
    made = report.run(PARAMS, with_result(compared))
    text = section_text(made.html, SECTION)
    assert "Trained on generated images: 94.1 % (93.1 % to 95.1 %); trained on the same number of rendered" in text
    assert "rendered images: 97.8 %" in text
    assert "gap 3.7 points (2.5 to 4.9)." in text
    assert "6,000 images of each kind before curation, from the same prompts; 2 seeds (11, 12)" in text
    assert "2,000 rendered selfies" in text
    assert "half of each 97.0 % 96.0 % to 98.0 % 5,800 10 min 100 s" in text
    assert (
        "Not of this run: gossamer benchmark generated_vs_rendered of 2026-11-28, policy helmet, images=6000, "
        "seeds=[11, 12], on A Fine CPU, 2 cores. Policy, params and weights are this run's."
    ) in text


def test_the_comment_labels_the_figures_of_a_benchmark_with_the_same_policy_params_and_weights(
    compared: dict[str, Any],
) -> None:
    markdown = report.run(PARAMS, with_result(compared)).markdown.replace("\\", "")
    line = next(line for line in markdown.splitlines() if line.startswith("Benchmark"))
    assert " ".join(line.split()) == (
        "Benchmark of 2026-11-28 with the policy, params and weights of this run, not of this model (images=6000, "
        "seeds=[11, 12]): trained on generated images 94.1 % (93.1 % to 95.1 %); trained on the same number of "
        "rendered images 97.8 %; gap 3.7 points."
    )


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"policy_hash": "q"}, "other text of policy helmet"),
        ({"policy_hash": ""}, "text of policy helmet, not recorded"),
        ({"weights": "v"}, "other weights of the bundled model"),
        ({"params": {**HERE.params, "train": "t"}}, "other params train"),
        ({"params": {}}, "params dataset, prompts, generate, curate, split, train, selfies, convert, not recorded"),
    ],
)
def test_a_benchmark_of_another_model_is_left_out_of_the_comment_and_labelled_on_the_page(
    compared: dict[str, Any], change: dict[str, Any], difference: str
) -> None:
    inputs = replace(with_result(compared), conditions=HERE)
    assert inputs.experiments.generated_vs_rendered is not None
    other = inputs.experiments.generated_vs_rendered.model_copy(update={"conditions": HERE.model_copy(update=change)})
    made = report.run(PARAMS, replace(inputs, experiments=ExperimentResults(generated_vs_rendered=other)))
    assert "94.1" not in made.markdown
    assert "rained on" not in made.markdown
    assert f"Differs from this run: {difference}." in section_text(made.html, SECTION)


def test_a_result_of_unknown_conditions_is_no_result_of_this_run(compared: dict[str, Any]) -> None:
    result = GeneratedVsRenderedResult.model_validate({**compared, "date": ""})
    made = report.run(PARAMS, replace(with_result(compared), experiments=ExperimentResults(result)))
    assert "94.1" not in made.markdown
    assert "of unknown date, policy unknown" in section_text(made.html, SECTION)
    assert "Differs from this run: policy, params and weights, not recorded." in section_text(made.html, SECTION)


def test_without_a_result_the_page_names_the_command_that_makes_it_and_the_comment_has_no_line() -> None:
    made = report.run(PARAMS, EMPTY)
    assert "Trained on generated images: unmeasured: gossamer benchmark generated_vs_rendered" in section_text(
        made.html, SECTION
    )
    assert "rained on" not in made.markdown


def test_a_source_that_was_left_out_reads_unmeasured(compared: dict[str, Any]) -> None:
    made = report.run(PARAMS, with_result({name: compared[name] for name in ("rendered", "images", "selfies")}))
    text = section_text(made.html, SECTION)
    assert (
        "Trained on generated images: unmeasured: gossamer benchmark generated_vs_rendered; trained on the same number"
        in text
    )
    assert "gap unmeasured." in text
    assert "trained on generated images unmeasured; trained on the same number of rendered images 97.8" in made.markdown


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

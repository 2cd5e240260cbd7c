"""The report tells its test sets apart, and its first sentence says what was measured on real faces."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import measure
from benchmarks.evaluation.inference import EvaluationSet, Runtimes
from benchmarks.evaluation.summary import summarise
from benchmarks.report import stage as report
from benchmarks.report.inputs import Gallery, ReportInput
from benchmarks.report.sections.selfie_sets import NO_REAL_FACES, describe_real_faces, set_rows, set_sections
from pipeline.config.params import MeasureParams, ReportParams
from tests.benchmarks.report.pages import HOSTILE, Page, section_html, section_text
from tests.benchmarks.small_task import NAMES, write_photographs

PARAMS = ReportParams(sample_images=0, worst_images=3)


@pytest.fixture
def inputs(
    evaluation_set: EvaluationSet, runtimes: Runtimes, measure_params: MeasureParams, tmp_path: Path
) -> ReportInput:
    """A report on forty rendered selfies and twenty photographs, of which eight are decided wrongly."""
    street = write_photographs(tmp_path / "sets")
    result = measure.run(measure_params, evaluation_set, runtimes, [street])
    galleries = {
        "rendered": Gallery(evaluation_set.selfies, evaluation_set.rows),
        "street": Gallery(street.folder, street.rows),
    }
    return ReportInput("helmet", "?", measurement=result.measurement, predictions=result.predictions, selfies=galleries)


def test_without_photographs_the_first_sentence_says_that_nothing_was_measured_on_real_faces_and_how_to() -> None:
    made = report.run(PARAMS, ReportInput("helmet", "?"))
    text = " ".join(Page(made.html).text.split())
    first = text.index(NO_REAL_FACES)
    assert first < text.index("The gate has not run"), "it comes before the verdict"
    assert "selfies.photographs: [{name: street, folder: FOLDER, licence: our own}]" in NO_REAL_FACES
    lines = [line for line in made.markdown.splitlines() if line]
    assert lines[1].startswith("Nothing was measured on real faces: ")


def test_with_photographs_the_first_sentence_gives_their_figures_and_names_the_headline(inputs: ReportInput) -> None:
    told = describe_real_faces(inputs.measurement).replace("\u00a0", " ")
    assert told.startswith(
        "On real faces: 20 photographs of the test set street, of which the checkpoint decides 60.0 %"
    )
    assert "balanced accuracy 60.0 %, AUC 0." in told
    assert told.endswith("; the verdict stands on the test set rendered.")


def test_the_table_of_sets_has_the_headline_first_with_kind_licence_and_note(inputs: ReportInput) -> None:
    rows = set_rows(inputs.measurement)
    assert [(row.name, row.kind, row.is_headline) for row in rows] == [
        ("rendered", "40 rendered selfies", True),
        ("street", "20 photographs", False),
    ]
    text = " ".join(section_text(report.run(PARAMS, inputs).html, "sets").split())
    assert "our own in May" in text
    assert "10 no_helmet, 10 helmet" in text


def test_a_set_beside_the_headline_has_a_section_with_artifacts_slices_curves_and_its_own_pictures(
    inputs: ReportInput,
) -> None:
    (section,) = set_sections(inputs, 3)
    assert set(section.charts) == {"roc", "calibration", "coverage"}
    assert list(section.slices) == ["light"]
    html = report.run(PARAMS, inputs).html
    own = section_html(html, "set-street")
    assert all(name in own for name in NAMES)
    assert own.count("<img") == 3
    assert "night" in own
    assert Page(html).open == []
    assert 'href="#set-street"' in html


def test_the_headline_sections_show_only_its_own_selfies(inputs: ReportInput) -> None:
    html = report.run(ReportParams(sample_images=0, worst_images=50), inputs).html
    assert section_html(html, "misclassified").count("<img") == 4
    assert section_html(html, "set-street").count("<img") == 8


def test_the_comment_has_a_row_for_each_set(inputs: ReportInput) -> None:
    markdown = report.run(PARAMS, inputs).markdown.replace("\u00a0", " ")
    assert "| rendered (headline) | 40 rendered selfies | 90.0 % |" in markdown
    assert "| street | 20 photographs | 60.0 % |" in markdown


def test_the_summary_names_the_headline_and_adds_the_photographs(inputs: ReportInput) -> None:
    summary = summarise(inputs.measurement, None)
    assert summary.checkpoint is not None
    assert summary.checkpoint.test_set == "rendered"
    assert summary.photographs["street_accuracy"] == 0.6
    assert set(summary.photographs) == {"street_accuracy", "street_auc"}


def test_gaps_of_a_set_are_listed_under_its_name(inputs: ReportInput) -> None:
    assert inputs.measurement is not None
    street = inputs.measurement.sets["street"].model_copy(update={"unmeasured": {"slices": "no factors"}})
    measurement = inputs.measurement.model_copy(update={"sets": {**inputs.measurement.sets, "street": street}})
    assert replace(inputs, measurement=measurement).unmeasured()["sets.street.slices"] == "no factors"


def test_what_an_owner_says_of_a_set_is_escaped(inputs: ReportInput) -> None:
    assert inputs.measurement is not None
    street = inputs.measurement.sets["street"]
    selfies = street.selfies.model_copy(update={"licence": HOSTILE, "note": HOSTILE})
    sets = {**inputs.measurement.sets, "street": street.model_copy(update={"selfies": selfies})}
    made = report.run(PARAMS, replace(inputs, measurement=inputs.measurement.model_copy(update={"sets": sets})))
    assert "script" not in Page(made.html).tags

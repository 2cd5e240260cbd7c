"""Section of the report on the curation experiment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from benchmarks.evaluation.estimates import Estimate
from benchmarks.report import stage as report
from benchmarks.report.experiments.curation import CurationResult, curation_section
from benchmarks.report.experiments.results import ExperimentResults
from benchmarks.report.inputs import ReportInput
from pipeline.config.params import ReportParams

PARAMS = ReportParams(sample_images=0, worst_images=0)
EMPTY = ReportInput("helmet", "Does the rider wear a helmet?")


@pytest.fixture
def curation() -> dict[str, Any]:
    """The content of curation.json, with one figure missing."""

    def scores(precision: float, recall: float) -> dict[str, Any]:
        return {"0.05": {"precision": precision, "recall": recall}, "0.20": {"precision": 0.97, "recall": None}}

    accuracy = {"accuracy": 0.83, "accuracy_low": 0.81, "accuracy_high": 0.85}
    gain = {"gain_points": 3.1, "gain_points_low": 1.2, "gain_points_high": 5.0}
    return {
        "uniform": scores(0.93, 0.96),
        "cleanlab_default": scores(0.81, 0.87),
        "defects": {"blank": {"recall": 1.0, "recall_low": 0.96, "recall_high": 1.0}, "precision": 0.9},
        "embedded_mislabel_rate_before": 0.041,
        "embedded_mislabel_rate_before_low": 0.036,
        "embedded_mislabel_rate_before_high": 0.047,
        "pays": {
            "0.10": [
                {"arm": "everything", "images": 2000, **accuracy},
                {"arm": "curated", "images": 1700, **accuracy, "accuracies": [0.851, 0.869], **gain},
            ]
        },
        "cost": {"images": [1000], "images_per_second": [180.4], "peak_rss_bytes": [9.1e8]},
        "params": {"pays_seeds": [1, 2, 3]},
        "machine": {"cpu": "A Fine CPU", "cores": 2},
    }


def page(curation: dict[str, Any]) -> str:
    results = ExperimentResults(curation=CurationResult.model_validate(curation))
    return report.run(PARAMS, replace(EMPTY, experiments=results)).html


def test_the_page_shows_the_measured_figures(curation: dict[str, Any]) -> None:
    text = page(curation).replace("\u00a0", " ")
    assert "both detectors, pooled" in text
    assert "93.0 % / 96.0 %" in text
    assert "81.0 % / 87.0 %" in text
    assert '4.1 % <span class="soft">(3.6 % to 4.7 %)</span>' in text
    assert "images that curation kept" in text
    assert "10 % of the labels changed" in text
    assert '3.1<span class="small">1.2 to 5.0' in text
    assert "85.1 %, 86.9 %" in text
    assert "Classifiers trained with 3 seeds" in text
    assert "blank 100.0 %" in text
    assert "1,000 images at 180 images/s" in text
    assert "on A Fine CPU, 2 cores" in text


def test_a_missing_figure_reads_unmeasured(curation: dict[str, Any]) -> None:
    section = curation_section(CurationResult.model_validate(curation))
    assert [(score.precision, score.recall) for score in section.detection[0].scores] == [(0.93, 0.96), (0.97, None)]
    assert section.result is not None
    assert section.result.embedded_mislabel_rate_before == Estimate(value=0.041, low=0.036, high=0.047)
    assert section.result.embedded_mislabel_rate_after is None
    assert '<span class="gap">unmeasured</span> of those that curation keeps' in page(curation)


def test_without_a_result_the_page_names_the_command_that_makes_it() -> None:
    assert curation_section(None).detection == ()
    assert "unmeasured</span>: <code>gossamer benchmark curation</code>" in report.run(PARAMS, EMPTY).html

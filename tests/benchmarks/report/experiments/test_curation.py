"""What curation is worth, on the page: measured figures with their intervals, and what is not measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from benchmarks.report import stage as report
from benchmarks.report.experiments.curation import gaps, worth
from benchmarks.report.inputs import ReportInput
from pipeline.config.params import ReportParams

PARAMS = ReportParams(sample_images=0, worst_images=0)
NOTHING = ReportInput("helmet", "Does the rider wear a helmet?")


@pytest.fixture
def curation() -> dict[str, Any]:
    def found(precision: float, recall: float) -> dict[str, Any]:
        return {"0.05": {"precision": precision, "recall": recall}, "0.20": {"precision": 0.97, "recall": None}}

    return {
        "uniform": found(0.93, 0.96),
        "cleanlab_default": found(0.81, 0.87),
        "defects": {"blank": {"recall": 1.0, "recall_low": 0.96, "recall_high": 1.0}, "precision": 0.9},
        "embedded_mislabel_rate_before": 0.041,
        "embedded_mislabel_rate_before_low": 0.036,
        "embedded_mislabel_rate_before_high": 0.047,
        "pays": {
            "0.10": [
                {"arm": "everything", "images": 2000, "accuracy": 0.83, "accuracy_low": 0.81, "accuracy_high": 0.85},
                {
                    "arm": "curated",
                    "images": 1700,
                    "accuracy": 0.86,
                    "accuracies": [0.851, 0.869],
                    "gain_points": 3.1,
                    "gain_points_low": 1.2,
                },
            ]
        },
        "cost": {"images": [1000], "images_per_second": [180.4], "peak_rss_bytes": [9.1e8]},
        "params": {"pays_seeds": [1, 2, 3]},
        "machine": {"cpu": "A Fine CPU", "cores": 2},
    }


def page(curation: object) -> str:
    return report.run(PARAMS, replace(NOTHING, results={"curation": curation})).html


def test_measured_figures_stand_on_the_page(curation: dict[str, Any]) -> None:
    text = page(curation).replace("\u00a0", " ")
    assert "both opinions, pooled" in text
    assert "93.0 % / 96.0 %" in text
    assert "81.0 % / 87.0 %" in text
    assert '4.1 % <span class="soft">(3.6 % to 4.7 %)</span>' in text
    assert "what curation kept" in text
    assert "10 % of the labels changed" in text
    assert "3.1" in text
    assert "85.1 %, 86.9 %" in text
    assert "Classifiers of 3 seeds" in text
    assert "blank 100.0 %" in text
    assert "1,000 images at 180 a second" in text
    assert "on A Fine CPU, 2 cores" in text


def test_a_figure_that_is_not_there_reads_unmeasured(curation: dict[str, Any]) -> None:
    found = worth(replace(NOTHING, results={"curation": curation}))
    assert found.found[0][1] == [(0.93, 0.96), (0.97, None)]
    assert found.mislabelled[1] == (None, None, None)
    assert 'and <span class="gap">unmeasured</span> of those that curation keeps' in page(curation)


def test_nothing_measured_names_the_command() -> None:
    assert "unmeasured</span>: <code>gossamer benchmark curation</code>" in report.run(PARAMS, NOTHING).html
    assert gaps(NOTHING) == {"benchmarks/results/curation.json": "run gossamer benchmark curation"}


@pytest.mark.parametrize("broken", [{}, {"uniform": 3}, {"uniform": {"0.05": 1}}, [], {"defects": {"blank": None}}])
def test_results_of_another_shape_break_nothing(broken: object) -> None:
    assert "What curation is worth" in page(broken)

"""Results of all experiments: those of the repository are read whole, missing ones are named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.experiments import find_benchmark
from benchmarks.report import stage as report
from benchmarks.report.experiments.experiment_result import ExperimentResult
from benchmarks.report.experiments.results import ExperimentResults, read_experiment_results
from benchmarks.report.inputs import ReportInput
from pipeline.config.params import ReportParams


def test_the_committed_results_hold_every_figure_of_the_report(root: Path) -> None:
    results = read_experiment_results(root / "benchmarks/results")
    compared, bundled, curation, exports = (
        results.generated_vs_rendered,
        results.bundled_diffusion,
        results.curation,
        results.export_recipes,
    )
    assert compared is not None
    assert compared.gap_points is not None
    assert compared.synthetic is not None
    assert compared.synthetic.accuracy is not None
    assert bundled is not None
    assert None not in bundled.agreement.shares()
    assert bundled.table
    assert curation is not None
    assert curation.pays
    assert curation.cost.images
    assert curation.embedded_mislabel_rate_after is not None
    assert exports is not None
    assert all(table.artifacts for table in exports.backbones.values())
    assert results.unmeasured() == {}


@pytest.mark.parametrize("kind", ExperimentResult.__subclasses__())
def test_each_result_is_written_by_an_experiment(kind: type[ExperimentResult]) -> None:
    assert find_benchmark(kind.NAME) is find_benchmark(kind.BENCHMARK)


@pytest.mark.parametrize("kind", ExperimentResult.__subclasses__())
def test_the_committed_results_name_their_date_policy_and_params(root: Path, kind: type[ExperimentResult]) -> None:
    origin = read_experiment_results(root / "benchmarks/results", "helmet").origins(None)[kind.BENCHMARK]
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", origin.date)
    assert origin.policy == "helmet"
    assert origin.params
    assert origin.differences


def test_results_of_another_policy_are_left_out_and_say_so(root: Path) -> None:
    results = read_experiment_results(root / "benchmarks/results", "mask")
    assert results.origins(None) == {}
    assert results.unmeasured()["benchmarks/results/compare.json"] == (
        "measured with policy helmet, not this run's; run gossamer benchmark generated_vs_rendered"
    )


def test_no_figure_of_a_committed_benchmark_enters_the_comment_of_a_run_and_the_page_labels_each(root: Path) -> None:
    for policy, labels in (("helmet", 4), ("mask", 0)):
        experiments = read_experiment_results(root / "benchmarks/results", policy)
        params = ReportParams(sample_images=0, worst_images=0)
        made = report.run(params, ReportInput(policy, "?", experiments=experiments))
        assert "rained on" not in made.markdown
        assert not re.search(r"\d %|\d\u00a0%", made.markdown)
        assert made.html.count("<b>Not of this run:</b>") == labels
        assert made.html.count("measured with policy helmet, not this run&#39;s: <code>") == (4 - labels)


def test_missing_results_are_named_with_the_command_that_makes_them(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("what is here", encoding="utf-8")
    results = read_experiment_results(tmp_path)
    assert results == ExperimentResults()
    assert results.unmeasured() == {
        "benchmarks/results/compare.json": "run gossamer benchmark generated_vs_rendered",
        "benchmarks/results/embedded.json": "run gossamer benchmark bundled_diffusion",
        "benchmarks/results/curation.json": "run gossamer benchmark curation",
        "benchmarks/results/exports.json": "run gossamer benchmark export_recipes",
    }

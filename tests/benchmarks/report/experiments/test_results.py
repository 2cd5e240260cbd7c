"""Results of all experiments: those of the repository are read whole, missing ones are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.experiments import find_benchmark
from benchmarks.report.experiments.experiment_result import ExperimentResult
from benchmarks.report.experiments.results import ExperimentResults, read_experiment_results


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

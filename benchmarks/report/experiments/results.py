"""Results of all experiments that the report shows, read from benchmarks/results/."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.report.experiments.bundled_diffusion import BundledDiffusionResult
from benchmarks.report.experiments.curation import CurationResult
from benchmarks.report.experiments.experiment_result import ExperimentResult, read_result
from benchmarks.report.experiments.export_recipes import ExportRecipesResult
from benchmarks.report.experiments.generated_vs_rendered import GeneratedVsRenderedResult


@dataclass(frozen=True, slots=True)
class ExperimentResults:
    """One result per experiment; None where its file is missing."""

    generated_vs_rendered: GeneratedVsRenderedResult | None = None
    bundled_diffusion: BundledDiffusionResult | None = None
    curation: CurationResult | None = None
    export_recipes: ExportRecipesResult | None = None

    def unmeasured(self) -> dict[str, str]:
        """Missing result file -> the command that writes it."""
        kinds: dict[type[ExperimentResult], ExperimentResult | None] = {
            GeneratedVsRenderedResult: self.generated_vs_rendered,
            BundledDiffusionResult: self.bundled_diffusion,
            CurationResult: self.curation,
            ExportRecipesResult: self.export_recipes,
        }
        return {
            f"benchmarks/results/{kind.NAME}.json": f"run gossamer benchmark {kind.BENCHMARK}"
            for kind, result in kinds.items()
            if result is None
        }


def read_experiment_results(folder: Path) -> ExperimentResults:
    """Read the results that are there.

    Raises:
        DataError: A file is damaged, or holds figures of another type.
    """
    return ExperimentResults(
        generated_vs_rendered=read_result(folder, GeneratedVsRenderedResult),
        bundled_diffusion=read_result(folder, BundledDiffusionResult),
        curation=read_result(folder, CurationResult),
        export_recipes=read_result(folder, ExportRecipesResult),
    )

"""Results of all experiments that the report shows, read from benchmarks/results/."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.evaluation.conditions import Conditions
from benchmarks.report.experiments.bundled_diffusion import BundledDiffusionResult
from benchmarks.report.experiments.curation import CurationResult
from benchmarks.report.experiments.experiment_result import ExperimentResult, Origin, R, origin_of, read_result
from benchmarks.report.experiments.export_recipes import ExportRecipesResult
from benchmarks.report.experiments.generated_vs_rendered import GeneratedVsRenderedResult


@dataclass(frozen=True, slots=True)
class ExperimentResults:
    """One result per experiment; None where its file is missing or is of another policy than the run.

    Attributes:
        generated_vs_rendered: Training on generated against training on rendered images.
        bundled_diffusion: Images of the bundled model.
        curation: Errors that curation finds.
        export_recipes: What recipes cost.
        other_policy: File -> its policy, of the results that are left out because this run has another.
    """

    generated_vs_rendered: GeneratedVsRenderedResult | None = None
    bundled_diffusion: BundledDiffusionResult | None = None
    curation: CurationResult | None = None
    export_recipes: ExportRecipesResult | None = None
    other_policy: Mapping[str, str] = field(default_factory=dict)

    def unmeasured(self) -> dict[str, str]:
        """Result file that is not shown -> why, and the command that writes it."""
        return {
            _file(kind): f"{self._why_missing(kind)}run gossamer benchmark {kind.BENCHMARK}"
            for kind, result in self._by_kind().items()
            if result is None
        }

    def origins(self, run: Conditions | None) -> dict[str, Origin]:
        """Benchmark -> the label of its figures, which are not this run's.

        Args:
            run: Conditions of the run that the report shows; None where they are unknown.
        """
        return {kind.BENCHMARK: origin_of(result, run) for kind, result in self._by_kind().items() if result}

    def _why_missing(self, kind: type[ExperimentResult]) -> str:
        policy = self.other_policy.get(_file(kind))
        return f"measured with policy {policy}, not this run's; " if policy else ""

    def _by_kind(self) -> dict[type[ExperimentResult], ExperimentResult | None]:
        return {
            GeneratedVsRenderedResult: self.generated_vs_rendered,
            BundledDiffusionResult: self.bundled_diffusion,
            CurationResult: self.curation,
            ExportRecipesResult: self.export_recipes,
        }


def read_experiment_results(folder: Path, policy: str | None = None) -> ExperimentResults:
    """Read the results that are there.

    Args:
        folder: benchmarks/results.
        policy: Policy of the run; results of another are left out.

    Raises:
        DataError: A file is damaged, or holds figures of another type.
    """
    other_policy: dict[str, str] = {}

    def read(kind: type[R]) -> R | None:
        result = read_result(folder, kind)
        conditions = result.conditions if result else None
        if conditions is None or policy in (None, conditions.policy):
            return result
        other_policy[_file(kind)] = conditions.policy
        return None

    return ExperimentResults(
        generated_vs_rendered=read(GeneratedVsRenderedResult),
        bundled_diffusion=read(BundledDiffusionResult),
        curation=read(CurationResult),
        export_recipes=read(ExportRecipesResult),
        other_policy=other_policy,
    )


def _file(kind: type[ExperimentResult]) -> str:
    return f"benchmarks/results/{kind.NAME}.json"

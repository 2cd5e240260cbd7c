"""Report section: accuracy of classifiers trained on generated, on rendered and on mixed images.

Shows benchmarks/results/compare.json, which ``gossamer benchmark generated_vs_rendered`` writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import ClassVar

from benchmarks.evaluation.estimates import Estimate
from benchmarks.report.experiments.experiment_result import ExperimentResult, ResultRecord


class TrainingSource(ResultRecord):
    """One source of training images, and the classifiers trained on them.

    Attributes:
        accuracy: Mean over the seeds, with its 95 % interval.
        seeds: Seeds of the trainings.
        kept_images: Images that curation kept.
        generate_seconds: Time to generate the images.
        train_seconds: Time of each training.
    """

    accuracy: Estimate | None = None
    seeds: tuple[int, ...] = ()
    kept_images: int | None = None
    generate_seconds: float | None = None
    train_seconds: tuple[float, ...] = ()


class GeneratedVsRenderedResult(ExperimentResult):
    """The figures of benchmarks/results/compare.json that the report shows.

    Attributes:
        synthetic: Trained on generated images.
        rendered: Trained on the same number of rendered images.
        mix: Trained on half of each.
        gap_points: Accuracy of ``rendered`` minus that of ``synthetic``, in percentage points; paired interval.
        images: Prompts of each source.
        selfies: Size of the test set.
    """

    NAME: ClassVar[str] = "compare"
    BENCHMARK: ClassVar[str] = "generated_vs_rendered"
    synthetic: TrainingSource | None = None
    rendered: TrainingSource | None = None
    mix: TrainingSource | None = None
    gap_points: Estimate | None = None
    images: int | None = None
    selfies: int | None = None


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A row of the table; times in seconds, ``train_seconds`` the mean over the seeds."""

    title: str
    accuracy: Estimate | None
    kept_images: int | None
    generate_seconds: float | None
    train_seconds: float | None


@dataclass(frozen=True, slots=True)
class GeneratedVsRendered:
    """The section.

    Attributes:
        synthetic: Accuracy after training on generated images; None where it was not measured.
        rendered: Accuracy after training on rendered images.
        gap_points: By how many percentage points generated images are behind.
        rows: One row per source of training images that was measured.
        seeds: Seeds of the trainings.
        images: Prompts of each source.
        selfies: Size of the test set.
    """

    synthetic: Estimate | None = None
    rendered: Estimate | None = None
    gap_points: Estimate | None = None
    rows: Sequence[SourceRow] = ()
    seeds: Sequence[int] = ()
    images: int | None = None
    selfies: int | None = None


def generated_vs_rendered(result: GeneratedVsRenderedResult | None) -> GeneratedVsRendered:
    """Build the section; empty without a result."""
    if result is None:
        return GeneratedVsRendered()
    sources = {
        "generated images": result.synthetic,
        "rendered images, same number": result.rendered,
        "half of each": result.mix,
    }
    measured = {title: source for title, source in sources.items() if source is not None}
    return GeneratedVsRendered(
        synthetic=result.synthetic.accuracy if result.synthetic else None,
        rendered=result.rendered.accuracy if result.rendered else None,
        gap_points=result.gap_points,
        rows=[_row(title, source) for title, source in measured.items()],
        seeds=next((source.seeds for source in measured.values() if source.seeds), ()),
        images=result.images,
        selfies=result.selfies,
    )


def _row(title: str, source: TrainingSource) -> SourceRow:
    train_seconds = fmean(source.train_seconds) if source.train_seconds else None
    return SourceRow(title, source.accuracy, source.kept_images, source.generate_seconds, train_seconds)

"""Report section: does curation find planted errors, and does training on its result give a better classifier?

Shows benchmarks/results/curation.json, which ``gossamer benchmark curation`` writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from benchmarks.evaluation.estimates import Estimate, Number
from benchmarks.report.experiments.experiment_result import ExperimentResult, ResultRecord

_SELECTIONS = {
    "everything": "all images",
    "curated": "images that curation kept",
    "random": "the same number, at random",
    "oracle": "all images, relabelled by the judge",
}


class DetectionScore(ResultRecord):
    """How well changed labels were found: precision and recall in [0, 1]."""

    precision: Number | None = None
    recall: Number | None = None


class DefectRecall(ResultRecord):
    """Share of the planted defects of one kind that curation rejected, with its 95 % interval."""

    recall: Estimate | None = None


class Defects(ResultRecord):
    """Recall by kind of planted defect; None where the kind was not planted."""

    wrong_content: DefectRecall | None = None
    blank: DefectRecall | None = None
    duplicate: DefectRecall | None = None
    blur: DefectRecall | None = None


class TrainingSelection(ResultRecord):
    """One selection of training images, and the classifiers trained on it.

    Attributes:
        arm: Name of the selection.
        images: Number of images.
        accuracy: Mean over the seeds, with its 95 % interval.
        accuracies: Accuracy of each training.
        gain_points: Percentage points over training on everything, paired; None for everything itself.
    """

    arm: str
    images: int | None = None
    accuracy: Estimate | None = None
    accuracies: tuple[float, ...] = ()
    gain_points: Estimate | None = None


class CurationCost(ResultRecord):
    """Time and memory of curation; lists of equal length, one entry per number of images."""

    images: tuple[int, ...] = ()
    images_per_second: tuple[float, ...] = ()
    peak_rss_bytes: tuple[float, ...] = ()


class CurationResult(ExperimentResult):
    """The figures of benchmarks/results/curation.json that the report shows.

    The first six map the share of labels that was changed, as text, to a score. ``clustered``: changes in one slice
    only; ``cleanlab_default``: cleanlab with its defaults instead of Gossamer's curation.

    Attributes:
        embedded_mislabel_rate_before: Share of generated images that show another label, according to the judge.
        embedded_mislabel_rate_after: The same among those that curation keeps.
        judge_error_on_rendered: The judge's own error rate, on rendered images with certain labels.
        defects: Recall of whole defects planted among the images.
        pays: Share of labels changed, as text -> one entry per selection of training images.
        cost: Time and memory.
    """

    NAME: ClassVar[str] = "curation"
    BENCHMARK: ClassVar[str] = "curation"
    uniform: dict[str, DetectionScore] = Field(default_factory=dict)
    out_of_fold_uniform: dict[str, DetectionScore] = Field(default_factory=dict)
    verifier_uniform: dict[str, DetectionScore] = Field(default_factory=dict)
    cleanlab_default: dict[str, DetectionScore] = Field(default_factory=dict)
    clustered: dict[str, DetectionScore] = Field(default_factory=dict)
    cleanlab_default_clustered: dict[str, DetectionScore] = Field(default_factory=dict)
    embedded_mislabel_rate_before: Estimate | None = None
    embedded_mislabel_rate_after: Estimate | None = None
    judge_error_on_rendered: Estimate | None = None
    defects: Defects = Defects()
    pays: dict[str, tuple[TrainingSelection, ...]] = Field(default_factory=dict)
    cost: CurationCost = CurationCost()


@dataclass(frozen=True, slots=True)
class DetectionRow:
    """Scores of one detector, one per share of changed labels."""

    detector: str
    scores: Sequence[DetectionScore]


@dataclass(frozen=True, slots=True)
class SelectionRow:
    """One selection of training images, with the accuracy of its classifiers."""

    title: str
    selection: TrainingSelection


@dataclass(frozen=True, slots=True)
class CurationSection:
    """The section; ``result`` is None where the experiment has not run.

    Attributes:
        result: The figures that are shown as they are.
        shares: Shares of changed labels, as text; columns of the detection table.
        detection: One row per detector.
        defects: Kind of planted defect -> recall.
        selections: Share of labels changed -> rows, one per selection of training images.
        costs: (images, images per second, peak memory in bytes) per number of images.
    """

    result: CurationResult | None = None
    shares: Sequence[str] = ()
    detection: Sequence[DetectionRow] = ()
    defects: Mapping[str, Estimate | None] | None = None
    selections: Mapping[str, Sequence[SelectionRow]] | None = None
    costs: Sequence[tuple[int, float, float]] = ()


def curation_section(result: CurationResult | None) -> CurationSection:
    """Build the section; empty without a result."""
    if result is None:
        return CurationSection()
    cost = result.cost
    return CurationSection(
        result=result,
        shares=list(result.uniform),
        detection=_detection(result),
        defects=_defects(result.defects),
        selections={
            share: [SelectionRow(_SELECTIONS.get(row.arm, row.arm), row) for row in rows]
            for share, rows in result.pays.items()
        },
        costs=list(zip(cost.images, cost.images_per_second, cost.peak_rss_bytes, strict=False)),
    )


def _detection(result: CurationResult) -> list[DetectionRow]:
    detectors = {
        "both detectors, pooled": result.uniform,
        "out-of-fold probes": result.out_of_fold_uniform,
        "verifier": result.verifier_uniform,
        "cleanlab, defaults": result.cleanlab_default,
        "both detectors, errors in one slice": result.clustered,
        "cleanlab, errors in one slice": result.cleanlab_default_clustered,
    }
    return [
        DetectionRow(title, [scores.get(share, DetectionScore()) for share in result.uniform])
        for title, scores in detectors.items()
        if scores
    ]


def _defects(defects: Defects) -> dict[str, Estimate | None]:
    kinds = {
        "wrong content": defects.wrong_content,
        "blank": defects.blank,
        "duplicate": defects.duplicate,
        "out of focus": defects.blur,
    }
    return {kind: defect.recall for kind, defect in kinds.items() if defect is not None}

"""metrics/summary.json: about twenty figures of a run, to compare with those of other runs.

Pure. ``dvc metrics show``, ``dvc metrics diff`` and ``dvc exp show`` print this file and no other. It is nested two
levels deep, so that each figure is one column there; DVC leaves out figures that are null. Times and memory of a
machine are not among them (``machine_figures``). All figures of the model are on the test set that the verdict stands
on, except ``training`` and ``photographs``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import ConfigDict, Field

from benchmarks.evaluation.estimates import Count, Estimate, FlatRecord, Number
from benchmarks.evaluation.measurement import ArtifactFigures, Measurement
from benchmarks.evaluation.predictions import CHECKPOINT
from pipeline.data.records import Outcome, Record, Verdict


class CurationSummary(Record):
    """The part of metrics/curate.json that is compared; its other keys are ignored.

    Attributes:
        kept: Images that are left for training and validation.
        rejection_rate: Share of all images that were rejected.
    """

    model_config = ConfigDict(extra="ignore")
    kept: Count
    rejection_rate: Number


class TrainingSummary(Record):
    """The part of metrics/train.json that is compared; its other keys are ignored.

    Attributes:
        val_accuracy: Accuracy on validation images after the best epoch.
    """

    model_config = ConfigDict(extra="ignore")
    val_accuracy: Number


class CheckpointSummary(FlatRecord):
    """The float checkpoint on the test set that the verdict stands on.

    Attributes:
        test_set: Name of that set.
        accuracy: Share of selfies decided correctly, with its interval.
        fnr: False negative rate.
        fpr: False positive rate.
        auc: Area under the ROC curve.
        ece: Expected calibration error.
        cost_per_1000: Expected cost of wrong decisions per 1,000 checks; None where the policy has no costs.
        camera_accuracy: Mean accuracy over a camera's distortions.
        worst_slice_accuracy: Lowest accuracy among the values of all factors.
        largest_error_rate_gap: Largest difference of an error rate between two values of one factor.
    """

    test_set: str
    accuracy: Estimate | None
    fnr: Number | None
    fpr: Number | None
    auc: Number | None
    ece: Number | None
    cost_per_1000: Number | None
    camera_accuracy: Number | None
    worst_slice_accuracy: Number | None
    largest_error_rate_gap: Number | None


class GateSummary(Record):
    """The verdict of the gate, and how many of its checks failed or could not be decided (advisory ones included)."""

    verdict: Outcome
    checks_failed: Count
    checks_unmeasured: Count


class Summary(Record):
    """metrics/summary.json.

    Attributes:
        curation: Size of the data set; None where ``curate`` has not run.
        training: Result of the training; None where ``train`` has not run.
        checkpoint: Result on the selfies; None, and the two below empty, where ``measure`` has not run.
        photographs: NAME_accuracy and NAME_auc -> the checkpoint's, on each test set of photographs; empty without any.
        lowest_accuracy: Format -> lowest accuracy of its artifacts; None where one of them has none.
        smallest_size_bytes: Format -> size of its smallest artifact.
        gate: The verdict; None where ``gate`` has not run.
    """

    curation: CurationSummary | None = None
    training: TrainingSummary | None = None
    checkpoint: CheckpointSummary | None = None
    photographs: dict[str, Number | None] = Field(default_factory=dict)
    lowest_accuracy: dict[str, Number | None] = Field(default_factory=dict)
    smallest_size_bytes: dict[str, Count] = Field(default_factory=dict)
    gate: GateSummary | None = None


def summarise(
    measurement: Measurement | None,
    verdict: Verdict | None,
    curation: CurationSummary | None = None,
    training: TrainingSummary | None = None,
) -> Summary:
    """Choose the figures that people compare.

    Args:
        measurement: metrics/measure.json.
        verdict: metrics/gate.json.
        curation: metrics/curate.json, read as ``CurationSummary``.
        training: metrics/train.json, read as ``TrainingSummary``.
    """
    formats = _by_format(measurement.artifacts.values() if measurement else ())
    return Summary(
        curation=curation,
        training=training,
        checkpoint=_checkpoint(measurement) if measurement else None,
        photographs=_photographs(measurement) if measurement else {},
        lowest_accuracy={
            name: _lowest([row.accuracy.value if row.accuracy else None for row in rows])
            for name, rows in formats.items()
        },
        smallest_size_bytes={name: min(row.size_bytes for row in rows) for name, rows in formats.items()},
        gate=_gate(verdict) if verdict else None,
    )


def _checkpoint(measurement: Measurement) -> CheckpointSummary:
    figures, cost = measurement.checkpoint, measurement.cost_per_1000.get(CHECKPOINT)
    accuracies = [
        row.accuracy.value for values in measurement.slices.values() for row in values.values() if row.accuracy
    ]
    return CheckpointSummary(
        test_set=measurement.headline,
        accuracy=figures.accuracy,
        fnr=figures.fnr,
        fpr=figures.fpr,
        auc=figures.auc,
        ece=figures.ece,
        cost_per_1000=cost.overall if cost else None,
        camera_accuracy=figures.camera_accuracy.value if figures.camera_accuracy else None,
        worst_slice_accuracy=min(accuracies, default=None),
        largest_error_rate_gap=max((gaps.gap for gaps in measurement.equalised_odds.values()), default=None),
    )


def _photographs(measurement: Measurement) -> dict[str, float | None]:
    figures: dict[str, float | None] = {}
    for name, own in measurement.photograph_sets.items():
        accuracy = own.checkpoint.accuracy
        figures |= {f"{name}_accuracy": accuracy.value if accuracy else None, f"{name}_auc": own.checkpoint.auc}
    return figures


def _by_format(artifacts: Iterable[ArtifactFigures]) -> dict[str, list[ArtifactFigures]]:
    formats: dict[str, list[ArtifactFigures]] = {}
    for row in sorted(artifacts, key=lambda row: row.format):
        formats.setdefault(row.format, []).append(row)
    return formats


def _lowest(figures: Sequence[float | None]) -> float | None:
    """The lowest figure; None where one is missing, for that one could be lower."""
    known = [figure for figure in figures if figure is not None]
    return min(known) if len(known) == len(figures) else None


def _gate(verdict: Verdict) -> GateSummary:
    outcomes = [check.verdict for check in verdict.checks]
    return GateSummary(
        verdict=verdict.verdict, checks_failed=outcomes.count("fail"), checks_unmeasured=outcomes.count("unmeasured")
    )

"""Checks that need no baseline: required formats, accuracy, share of the checkpoint's, agreement, size, camera."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.evaluation.measurement import ArtifactFigures, Measurement, SetFigures
from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from benchmarks.gate.checks.check_results import (
    ACCURACY,
    AGREEMENT,
    BALANCED_ACCURACY,
    LOCATE_LOSS,
    MORE_SELFIES,
    NO_FIGURE,
    SEE_MISCLASSIFIED,
    SHARE_OF_CHECKPOINT,
    UNDECIDED,
    Interval,
    Limit,
    compare_with_limit,
    explain,
    more_selfies,
    percent,
    unmeasured,
)
from benchmarks.gate.checks.robustness import check_camera_floor
from pipeline.config.params import GateParams, SetLimits
from pipeline.data.records import Check
from pipeline.metrics.statistics import (
    mcnemar_mid_p,
    paired_ratio_interval,
    paired_ratio_sample_factor,
    proportion_sample_size,
    wilson_interval,
)

_NOT_MEASURED = (
    "gate.required names this format, and no artifact of it was measured; add it to convert.formats and run dvc repro, "
    "or remove it from gate.required"
)


def check_required_formats(params: GateParams, measurement: Measurement) -> Iterator[Check]:
    """At least one artifact of each required format was measured."""
    for name in params.required:
        count = sum(row.format == name for row in measurement.artifacts.values())
        yield Check(
            name="required",
            artifact=name,
            value=count,
            limit=1,
            verdict="pass" if count else "unmeasured",
            reason=f"{count} artifacts of this format were measured" if count else _NOT_MEASURED,
        )


@dataclass(frozen=True, slots=True)
class SetSample:
    """One test set, and what was predicted on it.

    Attributes:
        figures: Its part of metrics/measure.json.
        predictions: Its rows of the predictions.
        confidence: Level of the intervals in ``figures``.
        limits: Limits that hold on it.
        place: Where params give them: "gate", or "gate.sets.NAME".
    """

    figures: SetFigures
    predictions: Predictions
    confidence: float
    limits: SetLimits
    place: str = "gate"


def headline_sample(params: GateParams, measurement: Measurement, predictions: Predictions) -> SetSample:
    """The test set that the verdict stands on, with the limits that the gate's params give at their top level."""
    limits = SetLimits(
        min_accuracy=params.min_accuracy,
        min_share_of_checkpoint=params.min_share_of_checkpoint,
        min_agreement=params.min_agreement,
    )
    return SetSample(measurement, predictions.of_set(measurement.headline), measurement.confidence, limits)


def check_absolute_limits(params: GateParams, sample: SetSample, row: ArtifactFigures) -> Iterator[Check]:
    """All checks on one artifact alone, on the headline."""
    yield from check_set_limits(params, sample, row)
    yield compare_with_limit(_size(params), row.name, row.size_bytes)
    yield from check_camera_floor(params, row)


def check_set_limits(params: GateParams, sample: SetSample, row: ArtifactFigures) -> Iterator[Check]:
    """Accuracy, also balanced, share of the checkpoint's and agreement on one test set, where it has such limits."""
    limits = sample.limits
    if limits.min_accuracy is not None:
        yield _accuracy(params, sample, limits.min_accuracy, row)
    if limits.min_balanced_accuracy is not None:
        yield _balanced_accuracy(sample, limits.min_balanced_accuracy, row.name)
    if limits.min_share_of_checkpoint is not None:
        yield _share_of_checkpoint(params, sample, limits.min_share_of_checkpoint, row.name)
    if limits.min_agreement is not None:
        yield compare_with_limit(_agreement(sample.place, limits.min_agreement), row.name, row.agreement)


def _agreement(place: str, limit: float) -> Limit:
    return Limit(
        check=AGREEMENT,
        param=f"{place}.min_agreement",
        value=limit,
        at_least=True,
        describe=lambda share: f"{percent(share, limit)} of its decisions are the checkpoint's",
        show=percent,
        remedy=LOCATE_LOSS,
    )


def _size(params: GateParams) -> Limit:
    return Limit(
        check="size_bytes",
        param="gate.max_size_bytes",
        value=params.max_size_bytes,
        at_least=False,
        describe=lambda size: f"it has {size:,.0f} bytes",
        show=lambda size: f"{size:,.0f}",
        remedy="choose a smaller recipe (convert.formats) or backbone (train.backbone)",
    )


def _accuracy(params: GateParams, sample: SetSample, floor: float, row: ArtifactFigures) -> Check:
    accuracy, count = row.accuracy, sample.figures.selfies.count
    if accuracy is None:
        return unmeasured(ACCURACY, row.name, NO_FIGURE, floor)
    interval = Interval(accuracy.value, accuracy.low, accuracy.high, worse=False)
    verdict = interval.against(floor, at_least=True)
    what, next_step = f"{percent(accuracy.value, floor)} of {count:,} selfies are decided correctly", ""
    bound = f"{sample.place}.min_accuracy requires {percent(floor)}"
    if verdict == "fail":
        next_step = SEE_MISCLASSIFIED
    elif verdict == "unmeasured":
        bound += UNDECIDED
        total = proportion_sample_size(accuracy.value, floor, (1 - sample.confidence) / 2, params.power)
        next_step = more_selfies(total, count, paired=False)
    reason = explain(f"{what}; {bound}", next_step, interval.as_shares())
    return Check(name=ACCURACY, artifact=row.name, value=accuracy.value, limit=floor, verdict=verdict, reason=reason)


def _balanced_accuracy(sample: SetSample, floor: float, name: str) -> Check:
    """Mean of the accuracies on both kinds of selfies; its interval is made of theirs (MOVER: Zou & Donner, 2008)."""
    table = sample.predictions
    positive = table.targets == len(table.labels) - 1
    if not table.is_whole(name) or not positive.any() or positive.all():
        return unmeasured(BALANCED_ACCURACY, name, NO_FIGURE, floor)
    decided_positive = table.decisions(name) == len(table.labels) - 1
    kinds = [decided_positive[positive], ~decided_positive[~positive]]
    shares = np.array([rows.mean() for rows in kinds])
    ends = np.array([wilson_interval(int(rows.sum()), len(rows), sample.confidence) for rows in kinds])
    below, above = np.linalg.norm(shares[:, None] - ends, axis=0) / 2
    value = float(shares.mean())
    interval = Interval(value, value - float(below), value + float(above), worse=False)
    verdict = interval.against(floor, at_least=True)
    what = f"balanced accuracy is {percent(value, floor)} on {len(kinds[0]):,} and {len(kinds[1]):,} selfies"
    bound, next_step = f"{sample.place}.min_balanced_accuracy requires {percent(floor)}", ""
    if verdict == "fail":
        next_step = SEE_MISCLASSIFIED
    elif verdict == "unmeasured":
        bound, next_step = bound + UNDECIDED, MORE_SELFIES
    reason = explain(f"{what}; {bound}", next_step, interval.as_shares())
    return Check(name=BALANCED_ACCURACY, artifact=name, value=value, limit=floor, verdict=verdict, reason=reason)


def _share_of_checkpoint(params: GateParams, sample: SetSample, limit: float, name: str) -> Check:
    """MLPerf's rule for quantised models: a share of the float model's accuracy, here on the very same selfies."""
    check, predictions = SHARE_OF_CHECKPOINT, sample.predictions
    if not all(predictions.is_whole(column) for column in (name, CHECKPOINT)):
        return unmeasured(check, name, NO_FIGURE, limit)
    own, checkpoint = (predictions.decisions(column) == predictions.targets for column in (name, CHECKPOINT))
    if not checkpoint.any():
        return unmeasured(check, name, "the checkpoint decides no selfie correctly; train it again", limit)
    lost, gained = int(np.sum(checkpoint & ~own)), int(np.sum(~checkpoint & own))
    ratio = float(own.sum() / checkpoint.sum())
    low, high = paired_ratio_interval(checkpoint, own, 1 - 2 * params.alpha)
    worse = lost > gained and mcnemar_mid_p(lost, gained) / 2 < params.fail_alpha
    interval = Interval(ratio, low, high, worse)
    verdict = interval.against(limit, at_least=True)
    what = (
        f"{own.sum():,} selfies are decided correctly, {percent(ratio, limit)} of the checkpoint's {checkpoint.sum():,}"
    )
    bound, next_step = f"{sample.place}.min_share_of_checkpoint requires {percent(limit)}", ""
    if verdict == "fail":
        next_step = LOCATE_LOSS
    elif verdict == "unmeasured":
        bound += UNDECIDED
        factor = paired_ratio_sample_factor(checkpoint, own, limit, params.alpha, params.power)
        next_step = more_selfies(factor and factor * len(own), len(own), paired=False)
    reason = explain(f"{what}; {bound}", next_step, interval.as_shares())
    return Check(name=check, artifact=name, value=ratio, limit=limit, verdict=verdict, reason=reason)

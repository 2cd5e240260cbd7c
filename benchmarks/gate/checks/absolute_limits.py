"""Checks that need no baseline: required formats, accuracy, share of the checkpoint's, agreement, size, camera."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.evaluation.measurement import ArtifactFigures, Measurement
from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from benchmarks.gate.checks.check_results import (
    LOCATE_LOSS,
    NO_FIGURE,
    SEE_MISCLASSIFIED,
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
from pipeline.config.params import GateParams
from pipeline.data.records import Check
from pipeline.metrics.statistics import (
    mcnemar_mid_p,
    paired_ratio_interval,
    paired_ratio_sample_factor,
    proportion_sample_size,
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


def check_absolute_limits(
    params: GateParams, measurement: Measurement, predictions: Predictions, row: ArtifactFigures
) -> Iterator[Check]:
    """All checks on one artifact alone."""
    yield _accuracy(params, measurement, row)
    yield _share_of_checkpoint(params, predictions, row.name)
    yield compare_with_limit(_agreement(params), row.name, row.agreement)
    yield compare_with_limit(_size(params), row.name, row.size_bytes)
    yield from check_camera_floor(params, row)


def _agreement(params: GateParams) -> Limit:
    return Limit(
        check="agreement",
        param="gate.min_agreement",
        value=params.min_agreement,
        at_least=True,
        describe=lambda share: f"{percent(share, params.min_agreement)} of its decisions are the checkpoint's",
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


def _accuracy(params: GateParams, measurement: Measurement, row: ArtifactFigures) -> Check:
    floor, accuracy, count = params.min_accuracy, row.accuracy, measurement.selfies.count
    if accuracy is None:
        return unmeasured("accuracy", row.name, NO_FIGURE, floor)
    interval = Interval(accuracy.value, accuracy.low, accuracy.high, worse=False)
    verdict = interval.against(floor, at_least=True)
    what, next_step = f"{percent(accuracy.value, floor)} of {count:,} selfies are decided correctly", ""
    bound = f"gate.min_accuracy requires {percent(floor)}"
    if verdict == "fail":
        next_step = SEE_MISCLASSIFIED
    elif verdict == "unmeasured":
        bound += UNDECIDED
        total = proportion_sample_size(accuracy.value, floor, (1 - measurement.confidence) / 2, params.power)
        next_step = more_selfies(total, count, paired=False)
    reason = explain(f"{what}; {bound}", next_step, interval.as_shares())
    return Check(name="accuracy", artifact=row.name, value=accuracy.value, limit=floor, verdict=verdict, reason=reason)


def _share_of_checkpoint(params: GateParams, predictions: Predictions, name: str) -> Check:
    """MLPerf's rule for quantised models: a share of the float model's accuracy, here on the very same selfies."""
    check, limit = "share_of_checkpoint", params.min_share_of_checkpoint
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
    bound, next_step = f"gate.min_share_of_checkpoint requires {percent(limit)}", ""
    if verdict == "fail":
        next_step = LOCATE_LOSS
    elif verdict == "unmeasured":
        bound += UNDECIDED
        factor = paired_ratio_sample_factor(checkpoint, own, limit, params.alpha, params.power)
        next_step = more_selfies(factor and factor * len(own), len(own), paired=False)
    reason = explain(f"{what}; {bound}", next_step, interval.as_shares())
    return Check(name=check, artifact=name, value=ratio, limit=limit, verdict=verdict, reason=reason)

"""Checks that need no baseline: required formats, accuracy, share of the checkpoint's, agreement, size, camera."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.evaluation.measurement import ArtifactFigures, Measurement
from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from benchmarks.gate.checks.check_results import Interval, compare_with_limit, more_selfies, unmeasured
from benchmarks.gate.checks.robustness import check_camera_floor
from pipeline.config.params import GateParams
from pipeline.data.records import Check
from pipeline.metrics.statistics import (
    mcnemar_mid_p,
    paired_ratio_interval,
    paired_ratio_sample_factor,
    proportion_sample_size,
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
            reason=f"{count} measured" if count else "required, and no artifact of this format was measured",
        )


def check_absolute_limits(
    params: GateParams, measurement: Measurement, predictions: Predictions, row: ArtifactFigures
) -> Iterator[Check]:
    """All checks on one artifact alone."""
    yield _accuracy(params, measurement, row)
    yield _share_of_checkpoint(params, predictions, row.name)
    yield compare_with_limit("agreement", row.name, row.agreement, params.min_agreement, at_least=True)
    yield compare_with_limit("size_bytes", row.name, row.size_bytes, params.max_size_bytes, at_least=False)
    yield from check_camera_floor(params, row)


def _accuracy(params: GateParams, measurement: Measurement, row: ArtifactFigures) -> Check:
    floor, accuracy = params.min_accuracy, row.accuracy
    if accuracy is None:
        return unmeasured("accuracy", row.name, "no figure", floor)
    interval = Interval(accuracy.value, accuracy.low, accuracy.high, worse=False)
    verdict = interval.against(floor, at_least=True)
    place = {"pass": "above the floor", "fail": "below the floor", "unmeasured": "around the floor"}[verdict]
    reason = f"{interval.describe()}, {place}"
    if verdict == "unmeasured":
        total = proportion_sample_size(accuracy.value, floor, (1 - measurement.confidence) / 2, params.power)
        reason += f"; {more_selfies(total, measurement.selfies.count)}"
    return Check(name="accuracy", artifact=row.name, value=accuracy.value, limit=floor, verdict=verdict, reason=reason)


def _share_of_checkpoint(params: GateParams, predictions: Predictions, name: str) -> Check:
    """MLPerf's rule for quantised models: a share of the float model's accuracy, here on the very same selfies."""
    check, limit = "share_of_checkpoint", params.min_share_of_checkpoint
    if not all(predictions.is_whole(column) for column in (name, CHECKPOINT)):
        return unmeasured(check, name, "no figure", limit)
    own, checkpoint = (predictions.decisions(column) == predictions.targets for column in (name, CHECKPOINT))
    if not checkpoint.any():
        return unmeasured(check, name, "the checkpoint is never correct", limit)
    lost, gained = int(np.sum(checkpoint & ~own)), int(np.sum(~checkpoint & own))
    ratio = float(own.sum() / checkpoint.sum())
    low, high = paired_ratio_interval(checkpoint, own, 1 - 2 * params.alpha)
    worse = lost > gained and mcnemar_mid_p(lost, gained) / 2 < params.fail_alpha
    interval = Interval(ratio, low, high, worse)
    verdict = interval.against(limit, at_least=True)
    reason = f"{own.sum()} correct, the checkpoint {checkpoint.sum()}: {ratio:.4f} of it; {interval.describe()}"
    if verdict == "unmeasured":
        factor = paired_ratio_sample_factor(checkpoint, own, limit, params.alpha, params.power)
        reason += f"; {more_selfies(factor and factor * len(own), len(own))}"
    return Check(name=check, artifact=name, value=ratio, limit=limit, verdict=verdict, reason=reason)

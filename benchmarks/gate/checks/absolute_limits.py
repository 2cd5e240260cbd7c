"""Floors that hold with a baseline and without: required formats, accuracy, agreement, size, the camera's worst."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from benchmarks.gate.checks.check_results import (
    Interval,
    Measured,
    artifacts_of,
    figure,
    finite,
    limited,
    needs,
    unmeasured,
)
from benchmarks.gate.checks.robustness import camera_floor
from pipeline.config.params import GateParams
from pipeline.data.records import Check
from pipeline.metrics.statistics import (
    mcnemar_mid_p,
    paired_ratio_interval,
    paired_ratio_sample_factor,
    proportion_sample_size,
)


def required(params: GateParams, measured: Measured) -> Iterator[Check]:
    """Is there an artifact of every format that must be there?"""
    for name in params.required:
        count = sum(each.startswith(f"{name}-") for each in artifacts_of(measured))
        yield Check(
            name="required",
            artifact=name,
            value=count,
            limit=1,
            verdict="pass" if count else "unmeasured",
            reason=f"{count} measured" if count else "required, and no artifact of this format was measured",
        )


def floors(params: GateParams, measured: Measured, predictions: Predictions, name: str) -> Iterator[Check]:
    """Everything an artifact is asked by itself."""
    yield _accuracy(params, measured, len(predictions.ids), name)
    yield _of_checkpoint(params, predictions, name)
    yield limited("agreement", name, figure(measured, name, "agreement"), params.min_agreement, at_least=True)
    yield limited("size_bytes", name, figure(measured, name, "size_bytes"), params.max_size_bytes, at_least=False)
    yield from camera_floor(params, measured, name)


def _accuracy(params: GateParams, measured: Measured, selfies: int, name: str) -> Check:
    floor = params.min_accuracy
    value, low, high = (figure(measured, name, f"accuracy{end}") for end in ("", "_low", "_high"))
    if value is None or low is None or high is None:
        return limited("accuracy", name, None, floor, at_least=True)
    found = Interval(value, low, high, worse=False)
    verdict = found.against(floor, at_least=True)
    where = {"pass": "above the floor", "fail": "below the floor", "unmeasured": "around the floor"}[verdict]
    reason = f"{found.told()}, {where}"
    if verdict == "unmeasured":
        one_sided = (1 - (finite(measured.get("confidence")) or 0.95)) / 2
        reason += f"; {needs(proportion_sample_size(value, floor, one_sided, params.power), selfies)}"
    return Check(name="accuracy", artifact=name, value=value, limit=floor, verdict=verdict, reason=reason)


def _of_checkpoint(params: GateParams, predictions: Predictions, name: str) -> Check:
    """MLPerf's rule for quantised models: so much of the float model's accuracy, here on the very same selfies."""
    check, limit = "share_of_checkpoint", params.min_share_of_checkpoint
    if not all(predictions.is_whole(column) for column in (name, CHECKPOINT)):
        return limited(check, name, None, limit, at_least=True)
    ours, theirs = (predictions.decisions(column) == predictions.targets for column in (name, CHECKPOINT))
    if not theirs.any():
        return unmeasured(check, name, "the checkpoint is right nowhere", limit)
    lost, gained = int(np.sum(theirs & ~ours)), int(np.sum(~theirs & ours))
    ratio = float(ours.sum() / theirs.sum())
    interval = paired_ratio_interval(theirs, ours, 1 - 2 * params.alpha)
    found = Interval(ratio, *interval, worse=lost > gained and mcnemar_mid_p(lost, gained) / 2 < params.fail_alpha)
    verdict = found.against(limit, at_least=True)
    reason = f"right {ours.sum()} times, the checkpoint {theirs.sum()}: {ratio:.4f} of it; {found.told()}"
    if verdict == "unmeasured":
        factor = paired_ratio_sample_factor(theirs, ours, limit, params.alpha, params.power)
        reason += f"; {needs(factor and factor * len(ours), len(ours))}"
    return Check(name=check, artifact=name, value=ratio, limit=limit, verdict=verdict, reason=reason)

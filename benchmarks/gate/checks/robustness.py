"""Accuracy under a camera's distortions: an optional floor, and no fall below the baseline's.

``camera_accuracy`` is a mean over distortions of a few dozen selfies; its interval takes into account that pictures of
one selfie are not independent, and decides. Predictions on single distorted selfies are not stored, so the two means
are compared as if they were measured on different selfies, which is conservative. What these few selfies cannot clear
is advisory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist

from benchmarks.evaluation.measurement import ArtifactFigures, Estimate, Measurement
from benchmarks.gate.checks.check_results import (
    CAMERA,
    CAMERA_ACCURACY,
    Interval,
    identical,
    more_selfies,
    unmeasured,
)
from pipeline.config.params import GateParams
from pipeline.data.records import Check


def check_camera_floor(params: GateParams, row: ArtifactFigures) -> Iterator[Check]:
    """The floor, where params set one."""
    floor, accuracy = params.min_camera_accuracy, row.camera_accuracy
    if floor is None:
        return
    if accuracy is None:
        yield unmeasured(CAMERA_ACCURACY, row.name, "no figure", floor)
        return
    interval = Interval(accuracy.value, accuracy.low, accuracy.high, worse=False)
    verdict = interval.against(floor, at_least=True)
    reason = interval.describe() + ("; raise measure.camera.artifact_selfies" if verdict == "unmeasured" else "")
    yield Check(
        name=CAMERA_ACCURACY, artifact=row.name, value=accuracy.value, limit=floor, verdict=verdict, reason=reason
    )


def compare_camera(params: GateParams, new: Measurement, old: Measurement, name: str) -> Iterator[Check]:
    """The change since the baseline, where the baseline has the figure; losing the figure itself is not advisory."""
    limit, before, now = -params.max_camera_fall, old.artifacts[name], new.artifacts[name]
    if before.camera_accuracy is None:
        return
    if before.sha256 == now.sha256:
        yield identical(CAMERA, name, limit)
        return
    if now.camera_accuracy is None:
        yield unmeasured(CAMERA_ACCURACY, name, "the baseline has this figure, the candidate has not")
        return
    error = math.hypot(
        _standard_error(now.camera_accuracy, new.confidence), _standard_error(before.camera_accuracy, old.confidence)
    )
    change, z = now.camera_accuracy.value - before.camera_accuracy.value, NormalDist().inv_cdf(1 - params.alpha)
    worse = change < NormalDist().inv_cdf(params.fail_alpha) * error
    low, high = change - z * error, change + NormalDist().inv_cdf(1 - params.fail_alpha) * error
    verdict = Interval(change, low, high, worse).against(limit, at_least=True)
    reason = (
        f"{before.camera_accuracy.value:.4f} before, {now.camera_accuracy.value:.4f} now; "
        f"interval {low:+.4f} to {high:+.4f}"
    )
    if verdict == "unmeasured":
        reason += "; " + _sample_factor(params, change, error)
    yield Check(name=CAMERA, artifact=name, value=change, limit=limit, verdict=verdict, reason=reason)


def _standard_error(estimate: Estimate, confidence: float) -> float:
    return (estimate.high - estimate.low) / 2 / NormalDist().inv_cdf(0.5 + confidence / 2)


def _sample_factor(params: GateParams, change: float, error: float) -> str:
    """By what factor measure.camera.artifact_selfies must grow to separate the change from its limit."""
    distance = abs(change + params.max_camera_fall)
    if distance < 1e-6:
        return more_selfies(None, 0)
    z = NormalDist().inv_cdf(1 - params.alpha) + NormalDist().inv_cdf(params.power)
    factor = max(2, math.ceil((z * error / distance) ** 2))
    return f"{factor} times measure.camera.artifact_selfies would decide"

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

from benchmarks.evaluation.estimates import Estimate
from benchmarks.evaluation.measurement import ArtifactFigures, Measurement
from benchmarks.gate.checks.check_results import (
    CAMERA,
    CAMERA_ACCURACY,
    NO_FIGURE,
    UNDECIDED,
    Interval,
    explain,
    more_selfies,
    percent,
    points,
    rise_or_fall,
    unmeasured,
)
from pipeline.config.params import GateParams
from pipeline.data.records import Check

_SEE_DISTORTIONS = "by distortion: report/index.html#robustness"


def check_camera_floor(params: GateParams, row: ArtifactFigures) -> Iterator[Check]:
    """The floor, where params set one."""
    floor, accuracy = params.min_camera_accuracy, row.camera_accuracy
    if floor is None:
        return
    if accuracy is None:
        yield unmeasured(CAMERA_ACCURACY, row.name, NO_FIGURE, floor)
        return
    interval = Interval(accuracy.value, accuracy.low, accuracy.high, worse=False)
    verdict = interval.against(floor, at_least=True)
    what = f"{percent(accuracy.value, floor)} of the distorted selfies are decided correctly"
    bound, next_step = f"gate.min_camera_accuracy requires {percent(floor)}", ""
    if verdict == "fail":
        next_step = _SEE_DISTORTIONS
    elif verdict == "unmeasured":
        bound, next_step = bound + UNDECIDED, "raise measure.camera.artifact_selfies"
    reason = explain(f"{what}; {bound}", next_step, interval.as_shares())
    yield Check(
        name=CAMERA_ACCURACY, artifact=row.name, value=accuracy.value, limit=floor, verdict=verdict, reason=reason
    )


def compare_camera(params: GateParams, new: Measurement, old: Measurement, name: str) -> Iterator[Check]:
    """The change since the baseline, where the baseline has the figure; losing the figure itself is not advisory."""
    limit, before, now = -params.max_camera_fall, old.artifacts[name].camera_accuracy, new.artifacts[name]
    if before is None:
        return
    if now.camera_accuracy is None:
        yield unmeasured(CAMERA_ACCURACY, name, NO_FIGURE)
        return
    error = math.hypot(_standard_error(now.camera_accuracy, new.confidence), _standard_error(before, old.confidence))
    change, z = now.camera_accuracy.value - before.value, NormalDist().inv_cdf(1 - params.alpha)
    worse = change < NormalDist().inv_cdf(params.fail_alpha) * error
    low, high = change - z * error, change + NormalDist().inv_cdf(1 - params.fail_alpha) * error
    interval = Interval(change, low, high, worse)
    verdict = interval.against(limit, at_least=True)
    shares = f"from {percent(before.value)} to {percent(now.camera_accuracy.value)}" if change else ""
    what = f"accuracy on distorted selfies {rise_or_fall(change, params.max_camera_fall)} {shares}".rstrip()
    bound, next_step = f"gate.max_camera_fall allows a fall of {points(limit)}", ""
    if verdict == "fail":
        next_step = _SEE_DISTORTIONS
    elif verdict == "unmeasured":
        bound, next_step = bound + UNDECIDED, _sample_factor(params, change, error)
    reason = explain(f"{what}; {bound}", next_step, interval.as_points())
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

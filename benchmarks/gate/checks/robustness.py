"""Accuracy under a camera's distortions: a floor where one is set, and no fall from the baseline.

``camera_accuracy`` is a mean over distortions of some dozens of selfies, with an interval that knows that pictures of
one selfie are right or wrong together. That interval decides. Answers picture by picture are not kept, so the two
means are compared as if they were of other selfies, which is on the safe side; what so few cannot clear is advice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist

from benchmarks.gate.checks.check_results import (
    CAMERA,
    Interval,
    Measured,
    figure,
    finite,
    limited,
    needs,
    same_file,
    unmeasured,
)
from pipeline.config.params import GateParams
from pipeline.data.records import Check

NAMES = ("camera_accuracy", "camera_accuracy_low", "camera_accuracy_high")


def camera_floor(params: GateParams, measured: Measured, name: str) -> Iterator[Check]:
    """The floor, where params set one."""
    floor = params.min_camera_accuracy
    if floor is None:
        return
    value, low, high = (figure(measured, name, each) for each in NAMES)
    if value is None or low is None or high is None:
        yield limited("camera_accuracy", name, None, floor, at_least=True)
        return
    found = Interval(value, low, high, worse=False)
    verdict = found.against(floor, at_least=True)
    reason = found.told() + ("; raise measure.camera.artifact_selfies" if verdict == "unmeasured" else "")
    yield Check(name="camera_accuracy", artifact=name, value=value, limit=floor, verdict=verdict, reason=reason)


def compare_camera(params: GateParams, new: Measured, old: Measured, name: str) -> Iterator[Check]:
    """The change, where the baseline has a figure and the files differ; a figure that is missing is no mere advice."""
    limit, before = -params.max_camera_fall, figure(old, name, NAMES[0])
    if before is None:
        return
    if same_file(new, old, name):
        yield Check(name=CAMERA, artifact=name, value=0.0, limit=limit, verdict="pass", reason="the very same file")
        return
    now = figure(new, name, NAMES[0])
    error = math.hypot(*(_standard_error(measured, name) for measured in (new, old)))
    if now is None or not math.isfinite(error):
        yield unmeasured(NAMES[0], name, "the baseline has one; no figure with an interval")
        return
    change, z = now - before, NormalDist().inv_cdf(1 - params.alpha)
    worse = change < NormalDist().inv_cdf(params.fail_alpha) * error
    low, high = change - z * error, change + NormalDist().inv_cdf(1 - params.fail_alpha) * error
    verdict = Interval(change, low, high, worse).against(limit, at_least=True)
    reason = f"{before:.4f} before, {now:.4f} now; interval {low:+.4f} to {high:+.4f}"
    if verdict == "unmeasured":
        reason += "; measure.camera.artifact_selfies " + _power(params, change, error)
    yield Check(name=CAMERA, artifact=name, value=change, limit=limit, verdict=verdict, reason=reason)


def _standard_error(measured: Measured, name: str) -> float:
    low, high = (figure(measured, name, each) for each in NAMES[1:])
    confidence = finite(measured.get("confidence")) or 0.95
    if low is None or high is None:
        return math.nan
    return (high - low) / 2 / NormalDist().inv_cdf(0.5 + confidence / 2)


def _power(params: GateParams, change: float, error: float) -> str:
    """How many times as many selfies would tell the change from its limit."""
    distance = abs(change + params.max_camera_fall)
    if distance < 1e-6:
        return needs(None, 0)
    z = NormalDist().inv_cdf(1 - params.alpha) + NormalDist().inv_cdf(params.power)
    return f"times {max(2, math.ceil((z * error / distance) ** 2))} would tell"

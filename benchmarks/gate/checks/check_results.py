"""How a check reads its figures and says its answer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.records import Check, Outcome

EVERYTHING = "*"
COMPARABLE = "comparable"
SMALL_SLICES, NO_SLICES, UNTIMED = "small_slices_vs_baseline", "slices", "latency_elsewhere"
CAMERA = "camera_vs_baseline"
ADVISORY = frozenset({SMALL_SLICES, NO_SLICES, UNTIMED, CAMERA})
"""Checks that may stay unmeasured without holding a release back: they convict and never clear, or not here."""
Measured = Mapping[str, Any]
Bools = NDArray[np.bool_]


def artifacts_of(measured: Measured) -> Mapping[str, Mapping[str, Any]]:
    """Artifact -> its figures; whatever else stands there counts as none."""
    artifacts = measured.get("artifacts")
    if not isinstance(artifacts, Mapping):
        return {}
    return {name: figures if isinstance(figures, Mapping) else {} for name, figures in artifacts.items()}


def figure(measured: Measured, artifact: str, name: str) -> float | None:
    """A finite number, or None for whatever else stands there."""
    return finite(artifacts_of(measured).get(artifact, {}).get(name))


def finite(value: object) -> float | None:
    """The value as a float where it is a finite number, else None; True is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def same_file(new: Measured, old: Measured, artifact: str) -> bool:
    """Whether an artifact is byte for byte the same in both."""
    first, second = (artifacts_of(each).get(artifact, {}).get("sha256") for each in (new, old))
    return isinstance(first, str) and first == second


def limited(check: str, artifact: str, value: float | None, limit: float, *, at_least: bool) -> Check:
    """Compare one figure with its limit; without a figure it is unmeasured."""
    if value is None:
        return unmeasured(check, artifact, "no figure", limit)
    holds = value >= limit if at_least else value <= limit
    sign = ">=" if at_least else "<="
    reason = f"{text(value)} {sign if holds else 'is not ' + sign} {text(limit)}"
    return Check(
        name=check, artifact=artifact, value=value, limit=limit, verdict="pass" if holds else "fail", reason=reason
    )


def unmeasured(check: str, artifact: str, reason: str, limit: float | None = None) -> Check:
    """A question that cannot be answered here."""
    return Check(name=check, artifact=artifact, value=None, limit=limit, verdict="unmeasured", reason=reason)


def text(value: float) -> str:
    """A figure as reasons say it."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def needs(total: float | None, have: int) -> str:
    """Say how many more selfies would decide, of so many in all; at least one."""
    if total is None or not math.isfinite(total):
        return "on the limit itself, and no number of selfies would tell"
    return f"needs about {max(1, math.ceil(total - have)):,} more selfies"


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its interval, and whether it is significantly on the bad side of "nothing changed"."""

    value: float
    low: float
    high: float
    worse: bool

    def against(self, limit: float, *, at_least: bool) -> Outcome:
        """Pass where the interval is inside the limit.

        Fail where it is all outside, or where the change is significant and its estimate outside. Else unmeasured.
        """
        low, high, value = (self.low, self.high, self.value) if at_least else (-self.high, -self.low, -self.value)
        edge = limit if at_least else -limit
        if low >= edge:
            return "pass"
        return "fail" if high < edge or (self.worse and value < edge) else "unmeasured"

    def told(self) -> str:
        """The interval as reasons say it."""
        return f"interval {self.low:.4f} to {self.high:.4f}"

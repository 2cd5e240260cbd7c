"""Names of checks, and how a check turns a figure or an interval into a verdict with its reason."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pipeline.data.records import Check, Outcome

ALL_ARTIFACTS = "*"
"""Stands in place of an artifact's name where a check concerns all of them."""
BASELINE_COMPARABLE = "baseline_comparable"
NO_SLICES, UNDERSIZED_SLICES, SLICES = "slices", "undersized_slices", "slices_vs_baseline"
LATENCY, LATENCY_NOT_TIMEABLE, MEMORY = "latency_vs_baseline", "latency_not_timeable", "memory_growth"
CAMERA_ACCURACY, CAMERA = "camera_accuracy", "camera_vs_baseline"
ADVISORY = frozenset({UNDERSIZED_SLICES, NO_SLICES, LATENCY_NOT_TIMEABLE, CAMERA})
"""Checks that may stay unmeasured without refusing a release: they can fail, but cannot be passed on every machine."""
IDENTICAL = "identical file"


def compare_with_limit(check: str, artifact: str, value: float | None, limit: float, *, at_least: bool) -> Check:
    """Compare one figure with its limit; without a figure the check is unmeasured."""
    if value is None:
        return unmeasured(check, artifact, "no figure", limit)
    holds = value >= limit if at_least else value <= limit
    sign = ">=" if at_least else "<="
    reason = f"{number(value)} {sign if holds else 'is not ' + sign} {number(limit)}"
    return Check(
        name=check, artifact=artifact, value=value, limit=limit, verdict="pass" if holds else "fail", reason=reason
    )


def unmeasured(check: str, artifact: str, reason: str, limit: float | None = None) -> Check:
    """A check that cannot be decided here."""
    return Check(name=check, artifact=artifact, value=None, limit=limit, verdict="unmeasured", reason=reason)


def identical(check: str, artifact: str, limit: float) -> Check:
    """A check on growth that passes because the file is byte for byte the baseline's."""
    return Check(name=check, artifact=artifact, value=0.0, limit=limit, verdict="pass", reason=IDENTICAL)


def growth(new: float | None, old: float | None) -> float | None:
    """Relative growth, e.g. 0.02 for 2 %; None where one is missing or the old one is 0."""
    return new / old - 1 if new is not None and old else None


def number(value: float) -> str:
    """A figure as reasons print it."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def more_selfies(total: float | None, available: int) -> str:
    """How many more selfies a decision needs, at least one.

    Args:
        total: Selfies it needs in all; None or infinite where no number is enough.
        available: Selfies there are.
    """
    if total is None or not math.isfinite(total):
        return "the estimate equals the limit: no number of selfies would decide"
    return f"needs about {max(1, math.ceil(total - available)):,} more selfies"


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its interval.

    Attributes:
        value: The estimate.
        low: Lower end.
        high: Upper end.
        worse: Whether the estimate is significantly worse than "nothing changed".
    """

    value: float
    low: float
    high: float
    worse: bool

    def against(self, limit: float, *, at_least: bool) -> Outcome:
        """Compare with a limit.

        Returns:
            "pass" where the whole interval keeps the limit. "fail" where none of it does, or where the change is
            significant and its estimate breaks the limit. Otherwise "unmeasured".
        """
        low, high, value = (self.low, self.high, self.value) if at_least else (-self.high, -self.low, -self.value)
        edge = limit if at_least else -limit
        if low >= edge:
            return "pass"
        return "fail" if high < edge or (self.worse and value < edge) else "unmeasured"

    def describe(self) -> str:
        """The interval as reasons print it."""
        return f"interval {self.low:.4f} to {self.high:.4f}"

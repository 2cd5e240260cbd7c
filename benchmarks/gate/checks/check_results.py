"""Names of checks, and how a check turns a figure or an interval into a verdict with its reason.

A reason says in words what happened, then what to do next, and last, in brackets, the statistics behind it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
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
ACCURACY, BALANCED_ACCURACY, AGREEMENT = "accuracy", "balanced_accuracy", "agreement"
SHARE_OF_CHECKPOINT, SET_MEASURED = "share_of_checkpoint", "set_measured"
LIMITS_OF_A_SET = frozenset({ACCURACY, BALANCED_ACCURACY, SHARE_OF_CHECKPOINT, AGREEMENT, SET_MEASURED})
"""Checks on other test sets than the headline that must pass, because params ask for them; the others are advisory."""
IDENTICAL = "the file is the baseline's, byte for byte, so it cannot be worse"
NO_FIGURE = "no figure"
"""A reason that the verdict completes with the one that metrics/measure.json gives."""
UNDECIDED = ", and these selfies do not decide whether it is kept"
SEE_MISCLASSIFIED = "its errors: report/index.html#misclassified"
MORE_SELFIES = "raise selfies.count or add photographs"
RAISE_LIMIT = "if that is intended, raise the limit in params.yaml"
LOCATE_LOSS = "to find where conversion loses it: gossamer parity REFERENCE ARTIFACT --layers"


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of params.yaml that a figure is compared with directly, without an interval.

    Attributes:
        check: Name of the check.
        param: Key of the limit, e.g. "gate.max_size_bytes".
        value: The limit.
        at_least: Whether the figure must be the limit or more; else it must be the limit or less.
        describe: The figure in words.
        show: The limit in its unit.
        remedy: What to do where the limit is broken.
    """

    check: str
    param: str
    value: float
    at_least: bool
    describe: Callable[[float], str]
    show: Callable[[float], str]
    remedy: str = ""


def compare_with_limit(limit: Limit, artifact: str, value: float | None) -> Check:
    """Compare one figure with its limit; without a figure the check is unmeasured."""
    if value is None:
        return unmeasured(limit.check, artifact, NO_FIGURE, limit.value)
    holds = value >= limit.value if limit.at_least else value <= limit.value
    bound = f"{limit.param} {'requires' if limit.at_least else 'allows'} {limit.show(limit.value)}"
    what = f"{limit.describe(value)}; {bound}"
    return Check(
        name=limit.check,
        artifact=artifact,
        value=value,
        limit=limit.value,
        verdict="pass" if holds else "fail",
        reason=what if holds else explain(what, limit.remedy),
    )


def unmeasured(check: str, artifact: str, reason: str, limit: float | None = None) -> Check:
    """A check that cannot be decided here."""
    return Check(name=check, artifact=artifact, value=None, limit=limit, verdict="unmeasured", reason=reason)


def is_advisory(check: Check) -> bool:
    """Whether a release goes on where this check is unmeasured."""
    return check.name in ADVISORY or bool(check.test_set and check.name not in LIMITS_OF_A_SET)


def identical(check: str, artifact: str, limit: float | None) -> Check:
    """A comparison that passes because the file is byte for byte the baseline's."""
    return Check(name=check, artifact=artifact, value=0.0, limit=limit, verdict="pass", reason=IDENTICAL)


def growth(new: float | None, old: float | None) -> float | None:
    """Relative growth, e.g. 0.02 for 2 %; None where one is missing or the old one is 0."""
    return new / old - 1 if new is not None and old else None


def explain(what: str, next_step: str = "", statistics: str = "") -> str:
    """Put a reason together: what happened, what to do next, and the statistics in brackets."""
    reason = f"{what}; {next_step}" if next_step else what
    return f"{reason} ({statistics})" if statistics else reason


def percent(share: float, beside: float | None = None) -> str:
    """A share as reasons print it, e.g. "98.05 %".

    Args:
        share: The share.
        beside: The limit that is printed beside it; another share gets as many digits as it takes to look different.
    """
    return f"{_distinct(100 * share, beside, 4)} %"


def points(difference: float, beside: float | None = None) -> str:
    """A difference of shares in percentage points, without its sign, e.g. "3 points"; ``beside`` as for ``percent``."""
    amount = _distinct(abs(100 * difference), None if beside is None else abs(beside), 3)
    return f"{amount} point{'' if amount == '1' else 's'}"


def rise_or_fall(difference: float, beside: float | None = None) -> str:
    """A difference of shares in words: "fell by 3 points", "rose by 0.5 points" or "is unchanged"."""
    if not difference:
        return "is unchanged"
    return f"{'rose' if difference > 0 else 'fell'} by {points(difference, beside)}"


def _distinct(value: float, beside: float | None, digits: int) -> str:
    """A percentage with these significant digits, or as many as distinguish it from the share ``beside``."""
    limit = None if beside is None else 100 * beside
    for more in range(digits, 16):
        text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{more}g}"
        if limit is None or math.isclose(value, limit, rel_tol=1e-12) or text != f"{limit:.{more}g}":
            return text
    return f"{value:g}"


def more_selfies(total: float | None, available: int, of: str = "", *, paired: bool = True) -> str:
    """How many more selfies a decision needs, at least one.

    Args:
        total: Selfies it needs in all; None or infinite where no number is enough.
        available: Selfies there are.
        of: The slice they must belong to; "" for any.
        paired: Whether the baseline's decisions on them are needed as well.
    """
    if total is None or not math.isfinite(total):
        return "the estimate equals the limit, so no number of selfies would decide: improve the model"
    needed = f"needs about {max(1, math.ceil(total - available)):,} more selfies{f' of {of}' if of else ''}"
    return f"{needed}: {MORE_SELFIES}{', and measure the baseline on them too' * paired}"


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

    def as_shares(self) -> str:
        """The interval of a share, e.g. "interval 97.3 % to 98.5 %"."""
        return f"interval {percent(self.low)} to {percent(self.high)}"

    def as_points(self) -> str:
        """The interval of a difference of shares, e.g. "interval -3.9 to -2.1 points"."""
        return f"interval {100 * self.low:+.2f} to {100 * self.high:+.2f} points"

    def as_ratio(self) -> str:
        """The interval of a ratio, e.g. "interval of the ratio 0.71 to 1.41"."""
        return f"interval of the ratio {self.low:.2f} to {self.high:.2f}"

"""An artifact against the baseline's on the same selfies: accuracy, agreement with the checkpoint, both error rates."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.gate.checks.check_results import (
    LOCATE_LOSS,
    NO_FIGURE,
    SEE_MISCLASSIFIED,
    UNDECIDED,
    Interval,
    explain,
    more_selfies,
    points,
    rise_or_fall,
    unmeasured,
)
from benchmarks.gate.paired_predictions import Bools, PairedPredictions, PairedRows
from pipeline.config.params import GateParams
from pipeline.data.records import Check
from pipeline.metrics.statistics import (
    mcnemar_mid_p,
    paired_difference_interval,
    paired_ratio_interval,
    paired_ratio_sample_factor,
    paired_sample_size,
)


@dataclass(frozen=True, slots=True)
class Change:
    """Number of correct rows that were lost and gained since the baseline, among ``rows``."""

    lost: int
    gained: int
    rows: int

    @classmethod
    def of(cls, old: Bools, new: Bools) -> Change:
        """Count the changes between two arrays, bool (n,) each."""
        return cls(int(np.sum(old & ~new)), int(np.sum(~old & new)), len(new))

    @property
    def difference(self) -> float:
        """Difference of the two shares; negative where more was lost than gained."""
        return (self.gained - self.lost) / self.rows if self.rows else 0.0

    @property
    def discordance(self) -> float:
        """Share of rows that changed, with half a row added each way, so that it is never 0."""
        return (self.lost + self.gained + 1) / (self.rows + 2)

    @property
    def p_value(self) -> float:
        """McNemar's mid-p value, one-sided, of the hypothesis that the share did not fall."""
        half = mcnemar_mid_p(self.lost, self.gained) / 2
        return half if self.lost > self.gained else 1 - half

    def describe(self, became: str = "became wrong", instead: str = "became right") -> str:
        """The counts in words, e.g. "60 of 2,000 selfies became wrong, 0 became right"."""
        return f"{self.lost:,} of {self.rows:,} selfies {became}, {self.gained:,} {instead}"


@dataclass(frozen=True, slots=True)
class _Share:
    """A share of the selfies that must not fall.

    Attributes:
        check: Name of the check.
        noun: The share in words.
        lost: What a lost selfie became.
        gained: What a gained selfie became.
        remedy: What to do about a fall.
    """

    check: str
    noun: str
    lost: str
    gained: str
    remedy: str


_ACCURACY = _Share("accuracy_vs_baseline", "accuracy", "became wrong", "became right", SEE_MISCLASSIFIED)
_AGREEMENT = _Share(
    "agreement_vs_baseline",
    "agreement with the checkpoint",
    "are no longer decided as by the checkpoint",
    "are now",
    LOCATE_LOSS,
)


def compare_accuracy(params: GateParams, pairs: PairedPredictions, name: str) -> Iterator[Check]:
    """Accuracy, agreement with the artifact's own checkpoint, false negatives and false positives."""
    yield _not_inferior(params, _ACCURACY, name, pairs.correct(name))
    yield _not_inferior(params, _AGREEMENT, name, pairs.agrees_with_checkpoint(name))
    for kind in _kinds_of_errors(pairs, name):
        yield _not_more_errors(params, kind, name)


def _not_inferior(params: GateParams, share: _Share, name: str, rows: PairedRows | None) -> Check:
    """Test whether a share fell by less than the margin, on the same rows.

    Pass where the one-sided interval at ``alpha`` excludes a fall of the margin or more. Fail where the interval holds
    nothing else, or where the fall is significant (McNemar's mid-p, one-sided, below ``fail_alpha``) and its estimate
    beyond the margin. Otherwise unmeasured: there are too few selfies.
    """
    margin = params.non_inferiority_margin
    if rows is None:
        return unmeasured(share.check, name, NO_FIGURE, -margin)
    change = Change.of(*rows)
    low, high = paired_difference_interval(*rows, 1 - 2 * params.alpha)
    interval = Interval(change.difference, low, high, change.p_value < params.fail_alpha)
    verdict = interval.against(-margin, at_least=True)
    what = f"{share.noun} {rise_or_fall(change.difference, margin)}: {change.describe(share.lost, share.gained)}"
    bound, next_step = f"gate.non_inferiority_margin allows a fall of {points(margin)}", ""
    if verdict == "fail":
        next_step = share.remedy
    elif verdict == "unmeasured":
        bound += UNDECIDED
        total = paired_sample_size(change.difference, -margin, change.discordance, params.alpha, params.power)
        next_step = more_selfies(total, change.rows)
    statistics = f"{interval.as_points()}, McNemar mid-p {mcnemar_mid_p(change.lost, change.gained):.3g}"
    return Check(
        name=share.check,
        artifact=name,
        value=change.difference,
        limit=-margin,
        verdict=verdict,
        reason=explain(f"{what}; {bound}", next_step, statistics),
    )


@dataclass(frozen=True, slots=True)
class _Errors:
    """One kind of error.

    Attributes:
        check: Name of the check.
        what: What is decided wrongly, in words.
        rows: Which of the selfies that can be decided wrongly are; None where there are none, or no predictions.
        absent: Why ``rows`` is None.
        selfies: Number of all selfies.
    """

    check: str
    what: str
    rows: PairedRows | None
    absent: str
    selfies: int


def _kinds_of_errors(pairs: PairedPredictions, name: str) -> Iterator[_Errors]:
    positive, selfies, usable = pairs.candidate.labels[-1], len(pairs.candidate.ids), pairs.is_usable(name)
    kinds = (
        ("fnr_vs_baseline", pairs.false_negatives(name), f"with {positive} are not recognised", f"with {positive}"),
        ("fpr_vs_baseline", pairs.false_positives(name), f"without {positive} pass for it", f"without {positive}"),
    )
    for check, rows, what, whose in kinds:
        absent = f"there is no selfie {whose}, so such errors cannot be counted; add some" if usable else NO_FIGURE
        yield _Errors(check, f"selfies {what}", rows, absent, selfies)


def _not_more_errors(params: GateParams, kind: _Errors, name: str) -> Check:
    """Test whether an error rate stays below ``max_error_ratio`` times the baseline's, among rows that can err.

    The interval of the ratio decides (Bonett & Price, 2006). Where errors are too few for a ratio, a rise whose
    interval ends below ``error_slack`` passes as well: a tenth more of almost nothing does no harm.
    """
    limit = params.max_error_ratio
    if kind.rows is None:
        return unmeasured(kind.check, name, kind.absent, limit)
    old, new = kind.rows
    change, rows = Change.of(~old, ~new), len(new)
    rise = -change.difference
    ratio = float(new.sum() / old.sum()) if old.any() else None
    worse = rise > params.error_slack and mcnemar_mid_p(change.lost, change.gained) / 2 < params.fail_alpha
    estimate = ratio if ratio is not None else (math.inf if new.any() else 1.0)
    interval = Interval(estimate, *paired_ratio_interval(old, new, 1 - 2 * params.alpha), worse)
    verdict = interval.against(limit, at_least=False)
    _, highest_rise = paired_difference_interval(old, new, 1 - 2 * params.alpha)
    if verdict == "unmeasured" and highest_rise < params.error_slack:
        verdict = "pass"
    what = f"{new.sum():,} of {rows:,} {kind.what}, with the baseline {old.sum():,}"
    bound, next_step = f"gate.max_error_ratio allows {limit:g} times as many", ""
    if verdict == "fail":
        next_step = SEE_MISCLASSIFIED
    elif verdict == "unmeasured":
        bound += UNDECIDED
        by_ratio = paired_ratio_sample_factor(old, new, limit, params.alpha, params.power)
        by_rise = paired_sample_size(rise, params.error_slack, change.discordance, params.alpha, params.power)
        factors = [factor for factor in (by_ratio, by_rise and by_rise / rows) if factor]
        next_step = more_selfies(min(factors, default=math.inf) * kind.selfies, kind.selfies)
    statistics = f"{interval.as_ratio()}, rise of the rate below {100 * highest_rise:+.2f} points"
    reason = explain(f"{what}; {bound}", next_step, statistics)
    return Check(name=kind.check, artifact=name, value=ratio, limit=limit, verdict=verdict, reason=reason)

"""An artifact against the baseline's on the same selfies: accuracy, agreement with the checkpoint, both error rates."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.gate.checks.check_results import Interval, more_selfies, unmeasured
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

    def describe(self) -> str:
        """The counts as reasons print them."""
        return f"{self.lost} lost, {self.gained} gained of {self.rows}"


def compare_accuracy(params: GateParams, pairs: PairedPredictions, name: str) -> Iterator[Check]:
    """Accuracy, agreement with the artifact's own checkpoint, false negatives and false positives."""
    yield _not_inferior(params, "accuracy_vs_baseline", name, pairs.correct(name))
    yield _not_inferior(params, "agreement_vs_baseline", name, pairs.agrees_with_checkpoint(name))
    selfies = len(pairs.candidate.ids)
    yield _not_more_errors(params, "fnr_vs_baseline", name, pairs.false_negatives(name), selfies)
    yield _not_more_errors(params, "fpr_vs_baseline", name, pairs.false_positives(name), selfies)


def _not_inferior(params: GateParams, check: str, name: str, rows: PairedRows | None) -> Check:
    """Test whether a share fell by less than the margin, on the same rows.

    Pass where the one-sided interval at ``alpha`` excludes a fall of the margin or more. Fail where the interval holds
    nothing else, or where the fall is significant (McNemar's mid-p, one-sided, below ``fail_alpha``) and its estimate
    beyond the margin. Otherwise unmeasured: there are too few selfies.
    """
    margin = params.non_inferiority_margin
    if rows is None:
        return unmeasured(check, name, "no figure", -margin)
    change = Change.of(*rows)
    low, high = paired_difference_interval(*rows, 1 - 2 * params.alpha)
    interval = Interval(change.difference, low, high, change.p_value < params.fail_alpha)
    verdict = interval.against(-margin, at_least=True)
    mid_p = mcnemar_mid_p(change.lost, change.gained)
    reason = f"{change.describe()}; interval {low:+.4f} to {high:+.4f}; McNemar mid-p {mid_p:.3g}"
    if verdict == "unmeasured":
        total = paired_sample_size(change.difference, -margin, change.discordance, params.alpha, params.power)
        reason += f"; {more_selfies(total, change.rows)}"
    return Check(name=check, artifact=name, value=change.difference, limit=-margin, verdict=verdict, reason=reason)


def _not_more_errors(params: GateParams, check: str, name: str, errors: PairedRows | None, selfies: int) -> Check:
    """Test whether an error rate stays below ``max_error_ratio`` times the baseline's, among rows that can err.

    The interval of the ratio decides (Bonett & Price, 2006). Where errors are too few for a ratio, a rise whose
    interval ends below ``error_slack`` passes as well: a tenth more of almost nothing does no harm.
    """
    limit = params.max_error_ratio
    if errors is None:
        return unmeasured(check, name, "no figure", limit)
    old, new = errors
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
    reason = (
        f"{new.sum()} errors of {rows}, the baseline {old.sum()}; ratio's {interval.describe()}; "
        f"rise below {highest_rise:+.4f}"
    )
    if verdict == "unmeasured":
        by_ratio = paired_ratio_sample_factor(old, new, limit, params.alpha, params.power)
        by_rise = paired_sample_size(rise, params.error_slack, change.discordance, params.alpha, params.power)
        factors = [factor for factor in (by_ratio, by_rise and by_rise / rows) if factor]
        reason += f"; {more_selfies(min(factors, default=math.inf) * selfies, selfies)}"
    return Check(name=check, artifact=name, value=ratio, limit=limit, verdict=verdict, reason=reason)

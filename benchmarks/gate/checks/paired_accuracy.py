"""Answers of an artifact and of its accepted forerunner on the same selfies: accuracy, agreement, both error rates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from benchmarks.gate.checks.check_results import Bools, Interval, limited, needs
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
class Pair:
    """One artifact in two tables of the same selfies; ``order`` brings the old rows into the new one's order."""

    artifact: str
    new: Predictions
    old: Predictions
    order: NDArray[np.int64]

    def right(self, reference: str = "") -> tuple[Bools, Bools] | None:
        """(old, new) rows that are decided rightly, or as the own table's reference column decides.

        None where an answer is missing or no number.
        """
        columns = (self.artifact, reference) if reference else (self.artifact,)
        if not all(table.is_whole(column) for table in (self.new, self.old) for column in columns):
            return None
        old, new = (
            table.decisions(self.artifact) == (table.decisions(reference) if reference else table.targets)
            for table in (self.old, self.new)
        )
        return old[self.order], new


@dataclass(frozen=True, slots=True)
class Change:
    """What became of rows that counted: ``lost`` and ``gained`` among ``rows``."""

    lost: int
    gained: int
    rows: int

    @classmethod
    def of(cls, old: Bools, new: Bools) -> Change:
        """Count it."""
        return cls(int(np.sum(old & ~new)), int(np.sum(~old & new)), len(new))

    @property
    def difference(self) -> float:
        """Of the two shares; below zero where more was lost."""
        return (self.gained - self.lost) / self.rows if self.rows else 0.0

    @property
    def discordance(self) -> float:
        """Share of rows that changed, never quite 0: a half more each way."""
        return (self.lost + self.gained + 1) / (self.rows + 2)

    @property
    def fell(self) -> float:
        """McNemar's mid-p, one-sided, that nothing or a gain would look like this."""
        half = mcnemar_mid_p(self.lost, self.gained) / 2
        return half if self.lost > self.gained else 1 - half

    def told(self) -> str:
        """The counts as reasons say them."""
        return f"{self.lost} lost, {self.gained} gained of {self.rows}"


def compare(params: GateParams, pair: Pair) -> Iterator[Check]:
    """Accuracy, agreement with the own checkpoint, false negatives and false positives."""
    yield _not_inferior(params, pair, "accuracy_vs_baseline")
    yield _not_inferior(params, pair, "agreement_vs_baseline", CHECKPOINT)
    positive = pair.new.targets == len(pair.new.labels) - 1
    yield _not_more_errors(params, pair, "fnr_vs_baseline", positive)
    yield _not_more_errors(params, pair, "fpr_vs_baseline", ~positive)


def _not_inferior(params: GateParams, pair: Pair, check: str, reference: str = "") -> Check:
    """Test whether a share fell by less than the margin, on the same rows.

    Pass where the one-sided interval at ``alpha`` excludes a fall of the margin or more. Fail where it holds nothing
    else, or where the fall is significant (McNemar's mid-p, one-sided, below ``fail_alpha``) and its estimate beyond
    the margin. Otherwise unmeasured: the selfies are too few to tell.
    """
    margin, found = params.non_inferiority_margin, pair.right(reference)
    if found is None:
        return limited(check, pair.artifact, None, -margin, at_least=True)
    change, mid_p = Change.of(*found), mcnemar_mid_p(*_counts(*found))
    low, high = paired_difference_interval(*found, 1 - 2 * params.alpha)
    verdict = Interval(change.difference, low, high, change.fell < params.fail_alpha).against(-margin, at_least=True)
    reason = f"{change.told()}; interval {low:+.4f} to {high:+.4f}; McNemar mid-p {mid_p:.3g}"
    if verdict == "unmeasured":
        total = paired_sample_size(change.difference, -margin, change.discordance, params.alpha, params.power)
        reason += f"; {needs(total, change.rows)}"
    return Check(
        name=check, artifact=pair.artifact, value=change.difference, limit=-margin, verdict=verdict, reason=reason
    )


def _not_more_errors(params: GateParams, pair: Pair, check: str, among: Bools) -> Check:
    """Test whether an error rate stays below so many times the baseline's, among the rows that can have the error.

    The ratio's interval decides (Bonett & Price, 2006). Where errors are so few that no ratio can be told, a rise
    whose interval ends below ``error_slack`` passes as well: a tenth more of almost nothing harms nobody.
    """
    limit, found = params.max_error_ratio, pair.right()
    if found is None or not among.any():
        return limited(check, pair.artifact, None, limit, at_least=False)
    old, new = (~right[among] for right in found)
    more, fewer = _counts(new, old)
    rows, rise = len(new), (more - fewer) / len(new)
    ratio = float(new.sum() / old.sum()) if old.any() else None
    worse = rise > params.error_slack and mcnemar_mid_p(more, fewer) / 2 < params.fail_alpha
    estimate = ratio if ratio is not None else (float("inf") if new.any() else 1.0)
    band = Interval(estimate, *paired_ratio_interval(old, new, 1 - 2 * params.alpha), worse)
    verdict, (_, most) = band.against(limit, at_least=False), paired_difference_interval(old, new, 1 - 2 * params.alpha)
    if verdict == "unmeasured" and most < params.error_slack:
        verdict = "pass"
    reason = f"{new.sum()} errors of {rows}, the baseline {old.sum()}; ratio's {band.told()}; rise below {most:+.4f}"
    if verdict == "unmeasured":
        by_ratio = paired_ratio_sample_factor(old, new, limit, params.alpha, params.power)
        discordance = (more + fewer + 1) / (rows + 2)
        by_rise = paired_sample_size(rise, params.error_slack, discordance, params.alpha, params.power)
        growths = [growth for growth in (by_ratio, by_rise and by_rise / rows) if growth]
        reason += f"; {needs(min(growths, default=float('inf')) * len(among), len(among))}"
    return Check(name=check, artifact=pair.artifact, value=ratio, limit=limit, verdict=verdict, reason=reason)


def _counts(first: Bools, second: Bools) -> tuple[int, int]:
    return int(np.sum(first & ~second)), int(np.sum(~first & second))

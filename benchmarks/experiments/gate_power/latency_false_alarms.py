"""Upper bound on the rate of false alarms of the latency gate, without waiting for one.

A run fails only if its median ratio is above the limit, that is, if at least half of its processes are above it. From
the share of processes above the limit among many that compared identical artifacts, with its upper confidence bound
(Clopper & Pearson, Biometrika 26, 1934), follows how often half of a run's processes can be above it.

Two assumptions are made. Slow phases of the machine last no longer than a process: ``runs_above`` counts runs, formed
from processes in the order of measurement, in which this fails. And the second run that a failure needs is ignored,
which makes the bound larger.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from scipy import stats

from benchmarks.experiment_harness.results import ResultRecord


class FalseAlarmBound(ResultRecord):
    """Upper bound on the rate of false alarms.

    Attributes:
        processes: Number of processes.
        processes_above: Number of processes above the limit.
        process_share_high: Upper bound on the share of processes above the limit.
        rate_high: Upper bound on the share of runs that fail.
        runs: Number of runs formed from the processes in order.
        runs_above: Number of those runs above the limit.
        largest_median_ratio: Largest median ratio of those runs.
    """

    processes: int
    processes_above: int
    process_share_high: float
    rate_high: float
    runs: int
    runs_above: int
    largest_median_ratio: float


def bound_false_alarms(ratios: Sequence[float], size: int, limit: float, confidence: float = 0.95) -> FalseAlarmBound:
    """Bound the share of runs that fail although nothing is slower.

    Args:
        ratios: Ratios of processes that compared identical artifacts, in the order of measurement; at least ``size``.
        size: Processes per run.
        limit: Growth of the median ratio above which a run fails, e.g. 0.04.
        confidence: One-sided confidence of the bound.

    Raises:
        ValueError: There are fewer processes than in one run.
    """
    if len(ratios) < size:
        raise ValueError(f"{len(ratios)} processes; expected at least the {size} of a run")
    above = sum(ratio > 1 + limit for ratio in ratios)
    share = float(stats.beta.ppf(confidence, above + 1, len(ratios) - above)) if above < len(ratios) else 1.0
    half = (size + 1) // 2
    medians = [median(ratios[first : first + size]) for first in range(0, len(ratios) - size + 1, size)]
    return FalseAlarmBound(
        processes=len(ratios),
        processes_above=above,
        process_share_high=share,
        rate_high=float(stats.binom.sf(half - 1, size, share)),
        runs=len(medians),
        runs_above=sum(ratio > 1 + limit for ratio in medians),
        largest_median_ratio=max(medians),
    )

"""How rare false alarms of the latency gate are at the most, without waiting for one.

A run fails only where its median ratio lies above the limit, so where at least half of its processes do. Of so many
processes that compared identical artifacts, the share above the limit has an upper bound (Clopper & Pearson, Biometrika
26, 1934), and from that follows how often half of a run's processes could be. Two things are taken for granted, and
looked at: the machine's moods last no longer than a process (``runs_above`` counts, in the order in which they were
measured, the runs in which they did), and the second run that a failure takes is not counted on at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from scipy import stats


def bound_false_alarms(ratios: Sequence[float], size: int, limit: float, confidence: float = 0.95) -> dict[str, Any]:
    """Bound the share of runs that fail though nothing is slower.

    Args:
        ratios: Of processes that compared identical artifacts, in the order they were measured; at least ``size``.
        size: Processes of a run.
        limit: Growth of the median ratio that fails, e.g. 0.04.
        confidence: One-sided, of the bound.

    Returns:
        ``processes``, how many were ``processes_above`` the limit and the bound on their share, ``process_share_high``;
        ``rate_high``, the bound on the share of runs; ``runs`` and ``runs_above``, the processes taken in order, and
        ``largest_median_ratio`` of those runs.

    Raises:
        ValueError: There are fewer processes than make a run.
    """
    if len(ratios) < size:
        raise ValueError(f"{len(ratios)} processes; expected at least the {size} of a run")
    above = sum(ratio > 1 + limit for ratio in ratios)
    share = float(stats.beta.ppf(confidence, above + 1, len(ratios) - above)) if above < len(ratios) else 1.0
    half = (size + 1) // 2
    medians = [median(ratios[first : first + size]) for first in range(0, len(ratios) - size + 1, size)]
    return {
        "processes": len(ratios),
        "processes_above": above,
        "process_share_high": share,
        "rate_high": float(stats.binom.sf(half - 1, size, share)),
        "runs": len(medians),
        "runs_above": sum(each > 1 + limit for each in medians),
        "largest_median_ratio": max(medians),
    }

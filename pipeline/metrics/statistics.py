"""Intervals, tests and sample sizes for proportions and for two classifiers compared on the same images.

Paired functions take one boolean array per classifier, both of shape (n,) and in the same row order. Levels
(``confidence``, ``alpha``, ``power``) are probabilities in (0, 1). Results are Python floats. Each function cites the
paper of its formula. Pure: reads and writes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy import special

_MIN_DISTANCE = 1e-6
"""Smallest distance from a limit for which a sample size is finite enough to report."""
_NORMAL = NormalDist()


def wilson_interval(successes: float, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of a proportion (Wilson, JASA 22:209, 1927).

    Args:
        successes: Between 0 and ``total``; fractions are allowed.
        total: Number of trials.
        confidence: Two-sided level in (0, 1).

    Returns:
        (low, high) in [0, 1]; (NaN, NaN) without trials.
    """
    if total == 0:
        return math.nan, math.nan
    z = _quantile(0.5 + confidence / 2)
    share = successes / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return max(0.0, centre - half), min(1.0, centre + half)


def mcnemar_mid_p(first_only: int, second_only: int) -> float:
    """Two-sided mid-p McNemar test of paired decisions (Fagerland et al., BMC Med Res Methodol 13:91, 2013).

    Args:
        first_only: Rows that only the first classifier gets right.
        second_only: Rows that only the second classifier gets right.

    Returns:
        p-value in (0, 1]; 1 if the classifiers are right on the same rows.
    """
    total = first_only + second_only
    if total == 0:
        return 1.0
    low = min(first_only, second_only)
    below = float(special.bdtr(low - 1, total, 0.5)) if low else 0.0
    tail = (below + float(special.bdtr(low, total, 0.5))) / 2
    return min(1.0, 2 * tail)


def paired_difference_interval(
    first: NDArray[np.bool_], second: NDArray[np.bool_], confidence: float = 0.95
) -> tuple[float, float]:
    """Interval of accuracy(second) - accuracy(first) on the same rows.

    Wald interval after adding 0.5 to each cell of the paired 2 x 2 table (Agresti & Min, Stat Med 24:729, 2005).

    Args:
        first: Whether the first classifier is right, bool (n,).
        second: Whether the second classifier is right, bool (n,).
        confidence: Two-sided level in (0, 1).

    Returns:
        (low, high), a difference of proportions.
    """
    total = len(first) + 2
    gained = float(np.sum(~first & second)) + 0.5
    lost = float(np.sum(first & ~second)) + 0.5
    difference = (gained - lost) / total
    z = _quantile(0.5 + confidence / 2)
    half = z * math.sqrt(max(0.0, gained + lost - (gained - lost) ** 2 / total)) / total
    return difference - half, difference + half


def paired_ratio_interval(
    first: NDArray[np.bool_], second: NDArray[np.bool_], confidence: float = 0.95
) -> tuple[float, float]:
    """Interval of proportion(second) / proportion(first) on the same rows (Bonett & Price, Stat Med 25:3039, 2006).

    It combines two Wilson intervals; Fagerland et al. (Stat Med 33:2850, 2014) recommend it for every sample size.

    Args:
        first: Outcome of the first classifier, e.g. whether it errs, bool (n,).
        second: Outcome of the second classifier, bool (n,).
        confidence: Two-sided level in (0, 1).

    Returns:
        (low, high) of a ratio, 0 or more. (0, inf) if neither array has a true row; ``high`` is inf if the first
        proportion may be zero.
    """
    ones, others, either = int(first.sum()), int(second.sum()), int((first | second).sum())
    if either == 0:
        return 0.0, math.inf
    discordant = int((first ^ second).sum())
    spread = math.sqrt((discordant + 2) / ((ones + 1) * (others + 1)))
    parts = sum(math.sqrt((1 - (count + 1) / (either + 2)) / (count + 1)) for count in (ones, others))
    level = 2 * _NORMAL.cdf(spread / parts * _quantile(0.5 + confidence / 2)) - 1
    (low_first, high_first), (low, high) = (wilson_interval(count, either, level) for count in (ones, others))
    return low / high_first, high / low_first if low_first > 0 else math.inf


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust the p-values of a family of tests for multiple testing (Holm, Scand J Statist 6:65, 1979).

    Rejecting the hypotheses whose adjusted p-value is below alpha keeps the chance of any false rejection below alpha.

    Args:
        p_values: Unadjusted, each in [0, 1].

    Returns:
        Adjusted p-values in [0, 1], in the order of the input.
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(np.asarray(p_values), kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def proportion_sample_size(share: float, limit: float, alpha: float, power: float) -> int | None:
    """Trials that a one-sided test needs to separate a proportion from a limit.

    Normal approximation (Fleiss, Levin & Paik, Statistical Methods for Rates and Proportions, 3rd ed., 2003, 2.5).

    Args:
        share: Proportion assumed to be true, in [0, 1].
        limit: Proportion to separate it from, in [0, 1].
        alpha: One-sided level in (0, 0.5).
        power: Probability of detecting the difference, in (0, 1).

    Returns:
        Number of trials; None if ``share`` and ``limit`` are practically equal.
    """
    if abs(share - limit) < _MIN_DISTANCE:
        return None
    spread = _quantile(1 - alpha) * math.sqrt(limit * (1 - limit)) + _quantile(power) * math.sqrt(share * (1 - share))
    return math.ceil((spread / (share - limit)) ** 2)


def paired_sample_size(difference: float, limit: float, discordance: float, alpha: float, power: float) -> int | None:
    """Rows that a one-sided paired test needs to separate a difference from a limit (Lu & Bean, Stat Med 14, 1995).

    Args:
        difference: Difference of the two proportions assumed to be true, in [-1, 1].
        limit: Difference to separate it from; 0, or a non-inferiority margin.
        discordance: Share of rows that the two classifiers decide differently, in [0, 1].
        alpha: One-sided level in (0, 0.5).
        power: Probability of detecting the difference, in (0, 1).

    Returns:
        Number of rows; None if ``difference`` and ``limit`` are practically equal.
    """
    if abs(difference - limit) < _MIN_DISTANCE:
        return None
    at_limit = max(discordance, abs(limit)) - limit**2
    spread = _quantile(1 - alpha) * math.sqrt(at_limit)
    spread += _quantile(power) * math.sqrt(max(discordance - difference**2, 0.0))
    return math.ceil((spread / (difference - limit)) ** 2)


def paired_ratio_sample_factor(
    first: NDArray[np.bool_], second: NDArray[np.bool_], limit: float, alpha: float, power: float
) -> float | None:
    """Factor by which the number of rows must grow to separate a paired ratio from a limit, one-sided.

    Uses the Wald variance of the log ratio (delta method; Fagerland et al., Stat Med 33:2850, 2014).

    Args:
        first: Outcome of the first classifier, e.g. whether it errs, bool (n,).
        second: Outcome of the second classifier, bool (n,).
        limit: Ratio to separate proportion(second) / proportion(first) from, above 0.
        alpha: One-sided level in (0, 0.5).
        power: Probability of detecting the difference, in (0, 1).

    Returns:
        Factor, 1 or more; None if the observed ratio practically equals ``limit``, or if an array has no true row.
    """
    ones, others = int(first.sum()), int(second.sum())
    distance = abs(math.log(others / ones / limit)) if ones and others else 0.0
    if distance < _MIN_DISTANCE:
        return None
    variance = max(int((first ^ second).sum()), 1) / (ones * others)
    return max(1.0, variance * ((_quantile(1 - alpha) + _quantile(power)) / distance) ** 2)


def _quantile(level: float) -> float:
    return _NORMAL.inv_cdf(level)

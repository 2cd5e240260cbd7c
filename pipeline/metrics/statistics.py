"""Confidence intervals, paired tests and sample sizes for proportions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy import special

_TOO_NEAR = 1e-6


_NORMAL = NormalDist()


def wilson_interval(successes: float, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of a proportion (Wilson, JASA 22, 1927); (NaN, NaN) for no trials."""
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
        second_only: Rows that only the second gets right.
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
    """Interval of accuracy(second) - accuracy(first) on the same rows (Agresti & Min, Stat Med 24, 2005).

    Args:
        first: Whether the first classifier is right, bool (n,).
        second: Whether the second is, bool (n,).
        confidence: Two-sided level in (0, 1).
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
    """Interval of share(second) / share(first) on the same rows (Bonett & Price, Stat Med 25, 2006).

    The hybrid of two Wilson intervals, the one Fagerland et al. (Stat Med 33, 2014) recommend for any size of sample.

    Args:
        first: Whether the first has it, bool (n,); errors, say.
        second: Whether the second has it, bool (n,).
        confidence: Two-sided level in (0, 1).

    Returns:
        (low, high); (0, inf) where neither has it anywhere, and inf as high where the first's share may be zero.
    """
    ones, others, either = int(first.sum()), int(second.sum()), int((first | second).sum())
    if either == 0:
        return 0.0, math.inf
    discordant = int((first ^ second).sum())
    spread = math.sqrt((discordant + 2) / ((ones + 1) * (others + 1)))
    parts = sum(math.sqrt((1 - (each + 1) / (either + 2)) / (each + 1)) for each in (ones, others))
    level = 2 * _NORMAL.cdf(spread / parts * _quantile(0.5 + confidence / 2)) - 1
    (low_first, high_first), (low, high) = (wilson_interval(each, either, level) for each in (ones, others))
    return low / high_first, high / low_first if low_first > 0 else math.inf


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values of a family of tests, in their order (Holm, Scand J Statist 6, 1979).

    Rejecting where the adjusted one is below alpha keeps the chance of any false rejection below alpha.
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(np.asarray(p_values), kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def share_sample_size(share: float, limit: float, alpha: float, power: float) -> int | None:
    """Trials that tell a share from a limit, one-sided (Fleiss, Levin & Paik, 3rd ed., 2003, 2.5); None: no number."""
    if abs(share - limit) < _TOO_NEAR:
        return None
    spread = _quantile(1 - alpha) * math.sqrt(limit * (1 - limit)) + _quantile(power) * math.sqrt(share * (1 - share))
    return math.ceil((spread / (share - limit)) ** 2)


def paired_sample_size(difference: float, limit: float, discordance: float, alpha: float, power: float) -> int | None:
    """Pairs of rows that tell a paired difference from a limit, one-sided (Lu & Bean, Stat Med 14, 1995).

    Args:
        difference: Of the two shares, taken to stay as it is.
        limit: The difference to tell it from; 0 or a margin.
        discordance: Share of rows that the two decide differently.
        alpha: One-sided level in (0, 0.5).
        power: How likely it is to be told apart then, in (0, 1).

    Returns:
        The number, or None where none would do (difference and limit all but equal).
    """
    if abs(difference - limit) < _TOO_NEAR:
        return None
    at_limit = max(discordance, abs(limit)) - limit**2
    spread = _quantile(1 - alpha) * math.sqrt(at_limit)
    spread += _quantile(power) * math.sqrt(max(discordance - difference**2, 0.0))
    return math.ceil((spread / (difference - limit)) ** 2)


def paired_ratio_growth(
    first: NDArray[np.bool_], second: NDArray[np.bool_], limit: float, alpha: float, power: float
) -> float | None:
    """How many times as many rows would tell a paired ratio from a limit, by the delta method's variance of its log.

    Args:
        first: Whether the first has it, bool (n,).
        second: Whether the second has it, bool (n,).
        limit: The ratio to tell share(second) / share(first) from.
        alpha: One-sided level in (0, 0.5).
        power: How likely it is to be told apart then, in (0, 1).

    Returns:
        The factor, 1 or more; None where none would do, or where either has it nowhere.
    """
    ones, others = int(first.sum()), int(second.sum())
    distance = abs(math.log(others / ones / limit)) if ones and others else 0.0
    if distance < _TOO_NEAR:
        return None
    variance = max(int((first ^ second).sum()), 1) / (ones * others)
    return max(1.0, variance * ((_quantile(1 - alpha) + _quantile(power)) / distance) ** 2)


def _quantile(level: float) -> float:
    return _NORMAL.inv_cdf(level)

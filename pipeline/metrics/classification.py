"""Pure figures of a classifier: accuracy, error rates, intervals, ranking, calibration, paired tests.

Conventions: ``targets`` are int64 (n,) label indices; ``probabilities`` are float (n, labels), rows sum to one; the
positive label is the last one (the policy is complied with). Undefined figures (no such rows) are NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
_TOO_NEAR = 1e-6
_NORMAL = NormalDist()


def decide(probabilities: Floats, threshold: float = 0.5) -> NDArray[np.int64]:
    """Turn probabilities (n, labels) into label indices (n,).

    With two labels the positive one is chosen where its probability reaches the threshold; with more, the largest wins.
    """
    if probabilities.shape[1] == 2:
        return np.asarray(probabilities[:, 1] >= threshold, np.int64)
    return np.asarray(probabilities.argmax(axis=1), np.int64)


def accuracy(decisions: Ints, targets: Ints) -> float:
    """Share of equal entries."""
    return float(np.mean(decisions == targets)) if len(targets) else math.nan


def false_negative_rate(decisions: Ints, targets: Ints, positive: int) -> float:
    """Share of positives decided otherwise (of riders with a helmet, those told they have none)."""
    rows = targets == positive
    return float(np.mean(decisions[rows] != positive)) if rows.any() else math.nan


def false_positive_rate(decisions: Ints, targets: Ints, positive: int) -> float:
    """Share of negatives decided positive (of riders without a helmet, those let through)."""
    rows = targets != positive
    return float(np.mean(decisions[rows] == positive)) if rows.any() else math.nan


def wilson_interval(successes: float, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of a proportion (Wilson, JASA 22, 1927); (NaN, NaN) for no trials."""
    if total == 0:
        return math.nan, math.nan
    z = _quantile(0.5 + confidence / 2)
    share = successes / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return max(0.0, centre - half), min(1.0, centre + half)


def roc_curve(scores: Floats, positives: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """Operating points of every distinct threshold, from none let through to all.

    Args:
        scores: Positive label's probability, float (n,).
        positives: Whether the row is positive, bool (n,).

    Returns:
        False positive rates, true positive rates and thresholds, float64 (points,); empty with one class only.
    """
    count, others = int(positives.sum()), int((~positives).sum())
    if count == 0 or others == 0:
        return np.empty(0), np.empty(0), np.empty(0)
    order = np.argsort(-scores, kind="stable")
    ranked = np.asarray(scores, np.float64)[order]
    last = np.r_[np.flatnonzero(np.diff(ranked)), len(ranked) - 1]
    hits = np.cumsum(positives[order])[last]
    alarms = last + 1 - hits
    return np.r_[0.0, alarms / others], np.r_[0.0, hits / count], np.r_[np.inf, ranked[last]]


def roc_auc(scores: Floats, positives: NDArray[np.bool_]) -> float:
    """Area under the ROC curve as the Mann-Whitney statistic, ties halved; NaN with one class only."""
    count = int(positives.sum())
    others = len(positives) - count
    if count == 0 or others == 0:
        return math.nan
    ranks = stats.rankdata(scores)
    return float((ranks[positives].sum() - count * (count + 1) / 2) / (count * others))


def calibration_bins(probabilities: Floats, targets: Ints, bins: int = 15) -> list[tuple[int, float, float]]:
    """Rows, mean confidence and accuracy of each equal-width confidence bin that has rows, in order of confidence."""
    if len(targets) == 0:
        return []
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == targets
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    return [
        (int(np.sum(which == b)), float(np.mean(confidence[which == b])), float(np.mean(right[which == b])))
        for b in np.unique(which)
    ]


def expected_calibration_error(probabilities: Floats, targets: Ints, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over equal-width bins (Guo et al., arXiv 1706.04599)."""
    if len(targets) == 0:
        return math.nan
    gaps = [rows * abs(mean - share) for rows, mean, share in calibration_bins(probabilities, targets, bins)]
    return float(sum(gaps) / len(targets))


def sureness(probabilities: Floats, threshold: float = 0.5) -> Floats:
    """How far each answer (n, labels) lies from another decision, float64 (n,), in log-odds, 0 and more.

    With two labels from the threshold: the answers less sure than some value are those in a band around it. With more,
    from the second largest probability.
    """
    shares = np.clip(np.asarray(probabilities, np.float64), 1e-12, 1 - 1e-12)
    if shares.shape[1] == 2:
        limit = min(max(threshold, 1e-12), 1 - 1e-12)
        odds = shares[:, 1] / (1 - shares[:, 1])
        return np.asarray(np.abs(np.log(odds) - math.log(limit / (1 - limit))))
    ordered = np.sort(shares, axis=1)
    return np.asarray(np.log(ordered[:, -1] / ordered[:, -2]))


def coverage_curve(sure: Floats, right: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Answer the surest rows alone: how many of all, and how often rightly (El-Yaniv & Wiener, JMLR 11:1605, 2010).

    Args:
        sure: How sure each answer is, float (n,).
        right: Whether it is right, bool (n,).

    Returns:
        Coverage and accuracy among the covered, from the surest rows to all; equally sure ones come together.
    """
    if not len(sure):
        return np.zeros(0), np.zeros(0)
    order = np.argsort(-sure, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(sure[order])), len(sure) - 1)
    return (ends + 1) / len(sure), np.cumsum(right[order])[ends] / (ends + 1)


def confusion(decisions: Ints, targets: Ints, labels: int) -> NDArray[np.int64]:
    """Counts (true label, decided label), int64 (labels, labels)."""
    table = np.zeros((labels, labels), np.int64)
    np.add.at(table, (targets, decisions), 1)
    return table


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


def normalised_mutual_information(first: Ints, second: Ints) -> float:
    """Mutual information over the mean of the two entropies, in [0, 1]; 0 when either never varies."""
    if len(first) == 0:
        return 0.0
    table = np.zeros((int(first.max()) + 1, int(second.max()) + 1))
    np.add.at(table, (first, second), 1.0)
    joint = table / table.sum()
    rows, columns = joint.sum(axis=1), joint.sum(axis=0)
    scale = (_entropy(rows) + _entropy(columns)) / 2
    if scale == 0 or min(_entropy(rows), _entropy(columns)) == 0:
        return 0.0
    return max(0.0, (_entropy(rows) + _entropy(columns) - _entropy(joint.ravel())) / scale)


def _quantile(level: float) -> float:
    return _NORMAL.inv_cdf(level)


def _entropy(shares: NDArray[np.float64]) -> float:
    positive = shares[shares > 0]
    return float(-(positive * np.log(positive)).sum())

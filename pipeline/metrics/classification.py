"""Pure figures of a classifier: accuracy, error rates, intervals, ranking, calibration, paired tests.

Conventions: ``targets`` are int64 (n,) label indices; ``probabilities`` are float (n, labels), rows sum to one; the
positive label is the last one (the policy is complied with). Undefined figures (no such rows) are NaN.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]


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


def _entropy(shares: NDArray[np.float64]) -> float:
    positive = shares[shares > 0]
    return float(-(positive * np.log(positive)).sum())

"""Metrics of a classifier: accuracy, error rates, ROC, calibration, selective classification, confusion.

Conventions: ``targets`` and ``decisions`` are int64 (n,) label indices; ``probabilities`` are float (n, labels), rows
sum to one; the positive label is the last one (the policy is complied with). A metric without rows to compute it from
is NaN. Pure: reads and writes nothing.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]


def decide(probabilities: Floats, threshold: float = 0.5) -> NDArray[np.int64]:
    """Turn probabilities into label indices.

    Args:
        probabilities: float (n, labels), rows sum to one.
        threshold: With two labels, the positive one is chosen if its probability is at least this, in [0, 1]. With more
            labels the threshold is ignored and the largest probability wins.

    Returns:
        int64 (n,).
    """
    if probabilities.shape[1] == 2:
        return np.asarray(probabilities[:, 1] >= threshold, np.int64)
    return np.asarray(probabilities.argmax(axis=1), np.int64)


def accuracy(decisions: Ints, targets: Ints) -> float:
    """Share of decisions that equal the target, in [0, 1]."""
    return float(np.mean(decisions == targets)) if len(targets) else math.nan


def false_negative_rate(decisions: Ints, targets: Ints, positive: int) -> float:
    """Share of positive rows decided otherwise (riders with a helmet who are refused), in [0, 1]."""
    rows = targets == positive
    return float(np.mean(decisions[rows] != positive)) if rows.any() else math.nan


def false_positive_rate(decisions: Ints, targets: Ints, positive: int) -> float:
    """Share of negative rows decided positive (riders without a helmet who are accepted), in [0, 1]."""
    rows = targets != positive
    return float(np.mean(decisions[rows] == positive)) if rows.any() else math.nan


def roc_curve(scores: Floats, positives: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """ROC curve with one point per distinct score (Fawcett, Pattern Recognition Letters 27:861, 2006).

    Args:
        scores: Probability of the positive label, float (n,).
        positives: Whether the row is positive, bool (n,).

    Returns:
        False positive rates, true positive rates and thresholds, float64 (points,), from no row accepted to all rows;
        empty if only one class has rows.
    """
    count, others = int(positives.sum()), int((~positives).sum())
    if count == 0 or others == 0:
        return np.empty(0), np.empty(0), np.empty(0)
    order = np.argsort(-scores, kind="stable")
    ranked = np.asarray(scores, np.float64)[order]
    last = np.r_[np.flatnonzero(np.diff(ranked)), len(ranked) - 1]
    true_positives = np.cumsum(positives[order])[last]
    false_positives = last + 1 - true_positives
    return np.r_[0.0, false_positives / others], np.r_[0.0, true_positives / count], np.r_[np.inf, ranked[last]]


def roc_auc(scores: Floats, positives: NDArray[np.bool_]) -> float:
    """Area under the ROC curve, as the Mann-Whitney statistic (Hanley & McNeil, Radiology 143:29, 1982).

    Args:
        scores: Probability of the positive label, float (n,); ties count one half.
        positives: Whether the row is positive, bool (n,).

    Returns:
        In [0, 1]; NaN if only one class has rows.
    """
    count = int(positives.sum())
    others = len(positives) - count
    if count == 0 or others == 0:
        return math.nan
    ranks = stats.rankdata(scores)
    return float((ranks[positives].sum() - count * (count + 1) / 2) / (count * others))


def calibration_bins(probabilities: Floats, targets: Ints, bins: int = 15) -> list[tuple[int, float, float]]:
    """Reliability diagram: group rows into equal-width bins of confidence (Guo et al., arXiv 1706.04599).

    Args:
        probabilities: float (n, labels), rows sum to one; the confidence is the largest one.
        targets: int64 (n,) label indices.
        bins: Number of bins over [0, 1].

    Returns:
        (rows, mean confidence, accuracy) of each bin that has rows, by rising confidence.
    """
    if len(targets) == 0:
        return []
    confidence = probabilities.max(axis=1)
    is_right = probabilities.argmax(axis=1) == targets
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    return [
        (int(np.sum(which == b)), float(np.mean(confidence[which == b])), float(np.mean(is_right[which == b])))
        for b in np.unique(which)
    ]


def expected_calibration_error(probabilities: Floats, targets: Ints, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over equal-width bins (ECE; Guo et al., arXiv 1706.04599).

    Args:
        probabilities: float (n, labels), rows sum to one.
        targets: int64 (n,) label indices.
        bins: Number of bins over [0, 1].

    Returns:
        In [0, 1].
    """
    if len(targets) == 0:
        return math.nan
    gaps = [rows * abs(mean - share) for rows, mean, share in calibration_bins(probabilities, targets, bins)]
    return float(sum(gaps) / len(targets))


def decision_margin(probabilities: Floats, threshold: float = 0.5) -> Floats:
    """Distance of each row from a different decision, in log-odds: the confidence of selective classification.

    Args:
        probabilities: float (n, labels), rows sum to one.
        threshold: Decision threshold of the positive label, in [0, 1]; used with two labels only, so that rows of
            small margin lie in a band around it.

    Returns:
        float64 (n,), 0 or more. With two labels, the distance from the threshold; with more, the log ratio of the
        largest and the second largest probability.
    """
    clipped = np.clip(np.asarray(probabilities, np.float64), 1e-12, 1 - 1e-12)
    if clipped.shape[1] == 2:
        limit = min(max(threshold, 1e-12), 1 - 1e-12)
        odds = clipped[:, 1] / (1 - clipped[:, 1])
        return np.asarray(np.abs(np.log(odds) - math.log(limit / (1 - limit))))
    ordered = np.sort(clipped, axis=1)
    return np.asarray(np.log(ordered[:, -1] / ordered[:, -2]))


def coverage_curve(confidence: Floats, is_right: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Accuracy-coverage curve of selective classification (El-Yaniv & Wiener, JMLR 11:1605, 2010).

    Args:
        confidence: Confidence of each decision, e.g. ``decision_margin``, float (n,).
        is_right: Whether the decision is right, bool (n,).

    Returns:
        Coverage and accuracy on the covered rows, float64 (points,) in [0, 1], from the most confident rows to all;
        rows of equal confidence enter together. Empty without rows.
    """
    if not len(confidence):
        return np.zeros(0), np.zeros(0)
    order = np.argsort(-confidence, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(confidence[order])), len(confidence) - 1)
    return (ends + 1) / len(confidence), np.cumsum(is_right[order])[ends] / (ends + 1)


def confusion_matrix(decisions: Ints, targets: Ints, labels: int) -> NDArray[np.int64]:
    """Count rows by (target, decision): int64 (labels, labels)."""
    table = np.zeros((labels, labels), np.int64)
    np.add.at(table, (targets, decisions), 1)
    return table


def normalised_mutual_information(first: Ints, second: Ints) -> float:
    """Mutual information divided by the mean of the two entropies (NMI_sum in Vinh et al., JMLR 11:2837, 2010).

    Args:
        first: Category indices, int (n,), 0 or more.
        second: Category indices of the same rows, int (n,), 0 or more.

    Returns:
        In [0, 1]; 0 if either variable is constant or there are no rows.
    """
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

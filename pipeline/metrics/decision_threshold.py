"""Pure: where a two-label classifier decides, and where it asks for another picture, by what mistakes cost a policy.

Probabilities are first made honest by one temperature (Guo et al., arXiv 1706.04599). Of an honest probability q, the
positive label is claimed where that is the cheaper mistake to risk: from q = fp / (fp + fn) on (Elkan, IJCAI 2001).
Where either claim costs more than a retake, nothing is claimed (Chow, IEEE Trans. Inf. Theory 16, 1970). Both are given
back as raw probabilities, as the model says them, so that a phone has nothing to compute.

One parameter is all that is fitted: a threshold sought freely for the least cost leans on the few worst images.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from pipeline.config.policy import SCENARIO, Policy
from pipeline.data.records import Image

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
_TEMPERATURES = (0.05, 20.0)
_CERTAIN = 1e-6


@dataclass(frozen=True, slots=True)
class Costs:
    """What mistakes cost, in the policy's unit; the positive label is the last one.

    Attributes:
        false_positive: Of claiming the positive label falsely.
        false_negative: Of denying it falsely.
        retake: Of asking for another picture.
    """

    false_positive: float = 1.0
    false_negative: float = 1.0
    retake: float = 0.5


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What to do with a raw probability of the positive label.

    Attributes:
        threshold: From here on the positive label is claimed, where no retake is asked for.
        retake_band: Strictly between its ends another picture is asked for; None: never.
    """

    threshold: float = 0.5
    retake_band: tuple[float, float] | None = None

    def carry_over(self, scale: float, shift: float) -> OperatingPoint:
        """The same point for a model whose log-odds are ``scale`` times as large, and lie ``shift`` higher."""

        def move(probability: float) -> float:
            return float(expit(scale * _log_odds(np.asarray(probability)) + shift))

        band = self.retake_band and (move(self.retake_band[0]), move(self.retake_band[1]))
        return OperatingPoint(move(self.threshold), band)


def average_costs(policy: Policy, rows: Sequence[Image], retake: float = 0.5) -> Costs:
    """Average a policy's costs over the scenarios of these rows.

    Args:
        policy: Its scenarios say what claiming a label falsely costs; without any, each mistake costs 1.
        rows: Scenarios weigh as often as they stand among them; equally where none does (photographs).
        retake: Cost of asking for another picture.
    """
    if not policy.scenarios:
        return Costs(retake=retake)
    counts = Counter(row.factors.get(SCENARIO) for row in rows)
    weights = [counts[scenario.name] for scenario in policy.scenarios]
    if not any(weights):
        weights = [1] * len(weights)
    negatives, positive = list(policy.labels)[:-1], list(policy.labels)[-1]
    means = {
        label: float(np.average([scenario.costs[label] for scenario in policy.scenarios], weights=weights))
        for label in policy.labels
    }
    return Costs(means[positive], float(np.mean([means[label] for label in negatives])), retake)


def choose_operating_point(temperature: float, costs: Costs, labels: int = 2) -> OperatingPoint:
    """Choose threshold and retake band where the expected cost is least; with more than two labels neither tells.

    Args:
        temperature: The model's (``fit_temperature``).
        costs: Of mistakes and retakes.
        labels: How many there are.
    """
    if labels != 2:
        return OperatingPoint()
    honest = costs.false_positive / (costs.false_positive + costs.false_negative)
    low, high = costs.retake / costs.false_negative, 1 - costs.retake / costs.false_positive
    band = (low, high) if low < honest < high else None
    return OperatingPoint(honest, band).carry_over(temperature, 0.0)


def fit_temperature(probabilities: Floats, targets: Ints) -> float:
    """Find what log-odds must be divided by to be honest: the temperature of least negative log-likelihood.

    Args:
        probabilities: Raw, float (n, labels).
        targets: Label indices, int64 (n,).

    Returns:
        Between 0.05 and 20; below 1 for a model that is too timid. 1 where nothing can be told: one of the labels is
        missing, or there are more than two.
    """
    if probabilities.shape[1] != 2 or len(np.unique(targets)) < 2:
        return 1.0
    odds = np.where(np.asarray(targets) == 1, 1, -1) * _log_odds(probabilities[:, 1])
    low, high = (math.log(end) for end in _TEMPERATURES)
    found = minimize_scalar(
        lambda log: float(np.logaddexp(0, -odds / math.exp(log)).mean()),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return math.exp(float(found.x))


def align(reference: Floats, probabilities: Floats, targets: Ints, threshold: float = 0.5) -> tuple[float, float]:
    """Find how a model's log-odds lie beside those of the model that it was made from, on the same images.

    Args:
        reference: What that model says, float (n, labels).
        probabilities: What the model at hand says, float (n, labels).
        targets: Label indices, int64 (n,).
        threshold: Where the reference decides.

    Returns:
        Scale and shift: the model says about scale x reference + shift. The scale is the ratio of both temperatures;
        the shift is the mean of what remains, in which images count by how near the threshold they lie, for there
        decisions turn. (1, 0) with more than two labels.
    """
    if reference.shape[1] != 2:
        return 1.0, 0.0
    scale = fit_temperature(probabilities, targets) / fit_temperature(reference, targets)
    theirs = _log_odds(reference[:, 1])
    doubt = expit(theirs - _log_odds(np.asarray(threshold)))
    weights = doubt * (1 - doubt) + _CERTAIN
    return scale, float(np.average(_log_odds(probabilities[:, 1]) - scale * theirs, weights=weights))


def asks_again(probabilities: Floats, band: tuple[float, float] | None) -> NDArray[np.bool_]:
    """Whether a retake is asked for, bool (n,), of probabilities float (n, labels)."""
    if band is None:
        return np.zeros(len(probabilities), np.bool_)
    return np.asarray((probabilities[:, -1] > band[0]) & (probabilities[:, -1] < band[1]), np.bool_)


def _log_odds(probabilities: Floats) -> Floats:
    return np.asarray(logit(np.clip(np.asarray(probabilities, np.float64), _CERTAIN, 1 - _CERTAIN)))

"""Where a two-label classifier decides and where it abstains, derived from the costs of a policy.

Steps, all in log-odds:

1. Calibrate with one temperature (Guo et al., arXiv 1706.04599).
2. Claim the positive label from the calibrated probability cost_fp / (cost_fp + cost_fn) on (Elkan, IJCAI 2001).
3. Abstain (the app asks for another picture, a "retake") where either label would cost more in expectation than
   abstaining (Chow, IEEE Trans. Inf. Theory 16:41, 1970).
4. Convert threshold and band back to raw probabilities, so that a phone compares the model's output with constants.

Only the temperature is fitted: a threshold searched freely for the least cost would depend on the few worst images.
Pure: reads and writes nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from pipeline.config.policy import SCENARIO, Policy
from pipeline.data.records import Image

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
_TEMPERATURES = (0.05, 20.0)
_MIN_PROBABILITY = 1e-6


DecisionRule = Literal["balanced", "costs"]
"""How a threshold is chosen: errors of both kinds count alike, or by the costs of the policy.

Costs shift a threshold by calibrated log-odds. Where probabilities are calibrated on pictures of another kind than the
model will see, that shift has the wrong size, and only the midpoint carries over: then "balanced" is the sound choice.
"""


@dataclass(frozen=True, slots=True)
class Costs:
    """Cost of each kind of outcome, in the policy's unit; the positive label is the last one.

    Attributes:
        false_positive: Cost of claiming the positive label falsely, above 0.
        false_negative: Cost of denying the positive label falsely, above 0.
        abstention: Cost of asking for another picture, above 0.
    """

    false_positive: float = 1.0
    false_negative: float = 1.0
    abstention: float = 0.5

    def by_rule(self, rule: DecisionRule) -> Costs:
        """These costs by rule "costs"; by "balanced" errors of both kinds cost 1."""
        return self if rule == "costs" else Costs(abstention=self.abstention)


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """How an app turns the raw probability of the positive label into a decision.

    Attributes:
        threshold: In (0, 1); the positive label is claimed from here on, outside the band.
        abstention_band: (low, high) in (0, 1); strictly between them the app asks for another picture. None: never.
            artifact.json calls it ``retake_band``.
    """

    threshold: float = 0.5
    abstention_band: tuple[float, float] | None = None

    def transfer(self, scale: float, shift: float) -> OperatingPoint:
        """Convert the point for a model whose log-odds are ``scale`` times these log-odds plus ``shift``."""

        def move(probability: float) -> float:
            return float(expit(scale * _log_odds(np.asarray(probability)) + shift))

        band = self.abstention_band and (move(self.abstention_band[0]), move(self.abstention_band[1]))
        return OperatingPoint(move(self.threshold), band)


def average_costs(policy: Policy, rows: Sequence[Image], abstention: float = 0.5) -> Costs:
    """Average a policy's costs over the scenarios of some images.

    Args:
        policy: Its scenarios state the cost of claiming each label falsely; without scenarios, each error costs 1.
        rows: Each scenario weighs by its number of rows; all weigh equally if no row has one (photographs).
        abstention: Cost of asking for another picture.
    """
    if not policy.scenarios:
        return Costs(abstention=abstention)
    counts = Counter(row.factors.get(SCENARIO) for row in rows)
    weights = [counts[scenario.name] for scenario in policy.scenarios]
    if not any(weights):
        weights = [1] * len(weights)
    negatives, positive = list(policy.labels)[:-1], list(policy.labels)[-1]
    means = {
        label: float(np.average([scenario.costs[label] for scenario in policy.scenarios], weights=weights))
        for label in policy.labels
    }
    return Costs(means[positive], float(np.mean([means[label] for label in negatives])), abstention)


def choose_operating_point(temperature: float, costs: Costs, labels: int = 2) -> OperatingPoint:
    """Choose the threshold (Elkan 2001) and the abstention band (Chow 1970) of least expected cost.

    Args:
        temperature: Temperature of the model (``fit_temperature``), above 0.
        costs: Costs of errors and of abstention.
        labels: Number of labels.

    Returns:
        Operating point in raw probabilities; with more than two labels the default, which has no band.
    """
    if labels != 2:
        return OperatingPoint()
    calibrated = costs.false_positive / (costs.false_positive + costs.false_negative)
    low, high = costs.abstention / costs.false_negative, 1 - costs.abstention / costs.false_positive
    band = (low, high) if low < calibrated < high else None
    return OperatingPoint(calibrated, band).transfer(temperature, 0.0)


def fit_temperature(probabilities: Floats, targets: Ints) -> float:
    """Fit the temperature that calibrates a model: log-odds / temperature has least negative log-likelihood.

    Temperature scaling of Guo et al. (arXiv 1706.04599), for two labels.

    Args:
        probabilities: Raw probabilities, float (n, labels), rows sum to one.
        targets: Label indices, int64 (n,).

    Returns:
        Between 0.05 and 20; below 1 for an underconfident model. 1 if a label has no rows or there are more than two.
    """
    if probabilities.shape[1] != 2 or len(np.unique(targets)) < 2:
        return 1.0
    odds = np.where(np.asarray(targets) == 1, 1, -1) * _log_odds(probabilities[:, 1])
    low, high = (math.log(end) for end in _TEMPERATURES)
    fit = minimize_scalar(
        lambda log: float(np.logaddexp(0, -odds / math.exp(log)).mean()),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return math.exp(float(fit.x))


def align_log_odds(
    reference: Floats, probabilities: Floats, targets: Ints, threshold: float = 0.5
) -> tuple[float, float]:
    """Fit scale and shift between the log-odds of a model and of the model it was converted from, on the same images.

    Args:
        reference: Probabilities of the original model, float (n, labels), rows sum to one.
        probabilities: Probabilities of the converted model, float (n, labels), rows sum to one.
        targets: Label indices, int64 (n,).
        threshold: Decision threshold of the original model, in (0, 1).

    Returns:
        (scale, shift) with log-odds(converted) ~ scale * log-odds(reference) + shift. The scale is the ratio of the two
        temperatures. The shift is the weighted mean residual; images near the threshold weigh most, because only their
        decisions can change. (1, 0) with more than two labels.
    """
    if reference.shape[1] != 2:
        return 1.0, 0.0
    scale = fit_temperature(probabilities, targets) / fit_temperature(reference, targets)
    reference_odds = _log_odds(reference[:, 1])
    nearness = expit(reference_odds - _log_odds(np.asarray(threshold)))
    weights = nearness * (1 - nearness) + _MIN_PROBABILITY
    return scale, float(np.average(_log_odds(probabilities[:, 1]) - scale * reference_odds, weights=weights))


def abstains(probabilities: Floats, band: tuple[float, float] | None) -> NDArray[np.bool_]:
    """Find the rows on which a model abstains.

    Args:
        probabilities: Raw probabilities, float (n, labels).
        band: Abstention band (low, high) of the positive label's probability; None: the model never abstains.

    Returns:
        bool (n,), true strictly inside the band.
    """
    if band is None:
        return np.zeros(len(probabilities), np.bool_)
    return np.asarray((probabilities[:, -1] > band[0]) & (probabilities[:, -1] < band[1]), np.bool_)


def _log_odds(probabilities: Floats) -> Floats:
    return np.asarray(logit(np.clip(np.asarray(probabilities, np.float64), _MIN_PROBABILITY, 1 - _MIN_PROBABILITY)))

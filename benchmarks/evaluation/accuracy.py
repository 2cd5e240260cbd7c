"""Predictions on labelled selfies -> the figures of one model: accuracy, parity with the checkpoint, abstention, cost.

Pure. A figure that cannot be computed (no such rows, predictions that are not finite) is None, never 0 or NaN.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation.estimates import Estimate
from benchmarks.evaluation.measurement import AbstentionFigures, AccuracyFigures, ExpectedCost, ParityFigures
from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from pipeline.config.params import MeasureParams
from pipeline.config.policy import SCENARIO, Policy
from pipeline.data.hashing import content_hash
from pipeline.metrics import classification, statistics
from pipeline.metrics.decision_threshold import abstains


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """The part of a policy that figures depend on.

    Attributes:
        factors: Factor names in the order they are reported; factors that only the rows have follow.
        costs: Scenario -> label -> cost of deciding for that label wrongly, in the policy's unit.
        pairs: Pairs of factors that are also sliced together, e.g. skin tone and light.
        policy: ``content_hash`` of the whole policy; empty where there is none.
    """

    factors: tuple[str, ...] = ()
    costs: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    pairs: tuple[tuple[str, str], ...] = ()
    policy: str = ""


def policy_facts(policy: Policy, pairs: tuple[tuple[str, str], ...] = ()) -> PolicyFacts:
    """Take factor names and scenario costs from a policy; pairs that name factors of other policies are left out."""
    names = [factor.name for label in policy.labels for factor in policy.factors_of(label)]
    scenarios = (SCENARIO,) if policy.scenarios else ()
    own = tuple(pair for pair in pairs if set(pair) <= set(names))
    costs = {scenario.name: scenario.costs for scenario in policy.scenarios}
    return PolicyFacts((*scenarios, *dict.fromkeys(names)), costs, own, content_hash(policy))


def measure_params_hash(params: MeasureParams, facts: PolicyFacts) -> str:
    """Hash what a measurement depends on of params.yaml: its section, and the pairs under ``gate.slice_pairs``.

    The number of worker processes is left out: it changes no figure.
    """
    section = content_hash(params.model_copy(update={"workers": 0}))
    return hashlib.sha256(json.dumps([section, facts.pairs]).encode()).hexdigest()


def accuracy_figures(table: Predictions, column: str, confidence: float) -> AccuracyFigures:
    """Accuracy with its Wilson interval, error rates, ranking and calibration of one column.

    All are None if one prediction is not finite: such a model is unmeasured, not merely wrong.
    """
    if not table.is_whole(column):
        return AccuracyFigures(accuracy=None, fnr=None, fpr=None, auc=None, ece=None)
    probabilities, targets, positive = table.probabilities[column], table.targets, len(table.labels) - 1
    decisions = table.decisions(column)
    return AccuracyFigures(
        accuracy=accuracy_estimate(decisions == targets, confidence),
        fnr=finite_or_none(classification.false_negative_rate(decisions, targets, positive)),
        fpr=finite_or_none(classification.false_positive_rate(decisions, targets, positive)),
        auc=finite_or_none(classification.roc_auc(probabilities[:, positive], targets == positive)),
        ece=finite_or_none(classification.expected_calibration_error(probabilities, targets)),
    )


def accuracy_estimate(correct: NDArray[np.bool_], confidence: float) -> Estimate | None:
    """Share of correct decisions, bool (n,), with its Wilson interval; None for no rows."""
    if not len(correct):
        return None
    low, high = statistics.wilson_interval(int(correct.sum()), len(correct), confidence)
    return Estimate(value=float(np.mean(correct)), low=low, high=high)


def parity_figures(table: Predictions, column: str, reference: str = CHECKPOINT) -> ParityFigures:
    """Share of decisions equal to the reference's, and the largest difference of any probability."""
    if not (table.is_whole(column) and table.is_whole(reference)) or not table.ids:
        return ParityFigures(agreement=None, max_abs_probability_diff=None)
    difference = np.abs(table.probabilities[column] - table.probabilities[reference])
    equal = table.decisions(column) == table.decisions(reference)
    return ParityFigures(agreement=float(np.mean(equal)), max_abs_probability_diff=float(difference.max()))


def abstention_figures(table: Predictions, column: str, band: tuple[float, float] | None) -> AbstentionFigures:
    """Share of selfies inside the retake band, and accuracy on those outside of it."""
    if not table.is_whole(column) or not table.ids:
        return AbstentionFigures(abstention_rate=None, selective_accuracy=None)
    abstained = abstains(table.probabilities[column], band)
    correct = (table.decisions(column) == table.targets)[~abstained]
    return AbstentionFigures(
        abstention_rate=float(abstained.mean()), selective_accuracy=float(np.mean(correct)) if len(correct) else None
    )


def expected_cost(
    table: Predictions, column: str, scenarios: Sequence[str | None], costs: Mapping[str, Mapping[str, float]]
) -> ExpectedCost | None:
    """Expected cost of wrong decisions per 1,000 checks, overall and by scenario.

    Scenarios and labels have the weights that they have among the selfies; rows of a scenario without costs do not
    count.

    Args:
        table: Predictions.
        column: The checkpoint or an artifact.
        scenarios: Scenario of each row.
        costs: Scenario -> label -> cost of deciding for that label wrongly.

    Returns:
        None where no row belongs to a scenario with costs, or the column's predictions cannot be used.
    """
    if not table.is_whole(column):
        return None
    by_scenario: dict[str, list[float]] = {}
    for scenario, decided, target in zip(scenarios, table.decisions(column), table.targets, strict=True):
        if scenario is not None and scenario in costs:
            cost = costs[scenario][table.labels[decided]] if decided != target else 0.0
            by_scenario.setdefault(scenario, []).append(cost)
    if not by_scenario:
        return None
    everything = [cost for rows in by_scenario.values() for cost in rows]
    return ExpectedCost(
        overall=1000 * float(np.mean(everything)),
        by_scenario={name: 1000 * float(np.mean(by_scenario[name])) for name in sorted(by_scenario)},
    )


def confusion_counts(table: Predictions, column: str) -> dict[str, dict[str, int]]:
    """True label -> decided label -> number of selfies; empty where the column's predictions cannot be used."""
    if not table.is_whole(column):
        return {}
    counts = classification.confusion_matrix(table.decisions(column), table.targets, len(table.labels))
    return {
        true: {decided: int(counts[i, j]) for j, decided in enumerate(table.labels)}
        for i, true in enumerate(table.labels)
    }


def finite_or_none(value: float) -> float | None:
    """The value as a plain float, or None where it is NaN or infinite."""
    return float(value) if math.isfinite(value) else None

"""Pure: answers on labelled selfies -> the figures of metrics/measure.json and the rows of plots/*.csv.

A figure that cannot be had (no such rows, no answers) is None, never 0 and never NaN: JSON and readers stay honest.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from pipeline.metrics import classification, statistics
from pipeline.metrics.decision_threshold import abstains

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """What measuring needs of a policy.

    Attributes:
        factors: Names, in the order they are reported; factors that rows carry beside them follow.
        costs: Scenario -> label -> what it costs to claim that label falsely there, in the policy's unit.
        pairs: Factors that are looked at together, e.g. skin tone and light.
    """

    factors: tuple[str, ...] = ()
    costs: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    pairs: tuple[tuple[str, str], ...] = ()


def finite(value: float) -> float | None:
    """The value as a plain float, or None where it is NaN or infinite."""
    return float(value) if math.isfinite(value) else None


def rate(table: Predictions, column: str, confidence: float) -> Figures:
    """Figures of one column of answers: accuracy with its Wilson interval, error rates, ranking, calibration.

    All are None where an answer is not a number: such an artifact is unmeasured, not merely wrong.
    """
    names = ("accuracy", "accuracy_low", "accuracy_high", "fnr", "fpr", "auc", "ece")
    if not table.is_whole(column):
        return dict.fromkeys(names)
    probabilities, targets, positive = table.probabilities[column], table.targets, len(table.labels) - 1
    decisions = table.decisions(column)
    values = (
        *_share(decisions == targets, confidence),
        classification.false_negative_rate(decisions, targets, positive),
        classification.false_positive_rate(decisions, targets, positive),
        classification.roc_auc(probabilities[:, positive], targets == positive),
        classification.expected_calibration_error(probabilities, targets),
    )
    return {name: finite(value) for name, value in zip(names, values, strict=True)}


def compare(table: Predictions, column: str, reference: str) -> Figures:
    """Share of decisions equal to the reference's, and the largest difference of any probability."""
    if not (table.is_whole(column) and table.is_whole(reference)) or not table.ids:
        return {"agreement": None, "max_abs_probability_diff": None}
    difference = np.abs(table.probabilities[column] - table.probabilities[reference])
    same = table.decisions(column) == table.decisions(reference)
    return {"agreement": float(np.mean(same)), "max_abs_probability_diff": finite(float(difference.max()))}


def ask_again(table: Predictions, column: str, band: tuple[float, float] | None) -> Figures:
    """Share of selfies on which an artifact asks for another picture, and its accuracy on the others."""
    if not table.is_whole(column) or not table.ids:
        return {"retake_rate": None, "accuracy_outside_band": None}
    unsure = abstains(table.probabilities[column], band)
    right = (table.decisions(column) == table.targets)[~unsure]
    accuracy = finite(classification.accuracy(right, np.ones(len(right), np.bool_)))
    return {"retake_rate": float(unsure.mean()), "accuracy_outside_band": accuracy}


def slice_rows(factors: Sequence[Mapping[str, str]], order: Sequence[str]) -> dict[str, dict[str, NDArray[np.int64]]]:
    """Factor -> value -> indices of the rows that have it; the factors of ``order`` first, values by name."""
    found: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, row in enumerate(factors):
        for name, value in row.items():
            found[name][value].append(index)
    names = [*(name for name in order if name in found), *sorted(set(found) - set(order))]
    return {name: {value: np.array(rows) for value, rows in sorted(found[name].items())} for name in names}


def pair_rows(
    factors: Sequence[Mapping[str, str]], pairs: Sequence[tuple[str, str]]
) -> dict[str, dict[str, NDArray[np.int64]]]:
    """``slice_rows`` of two factors at once: "skin_tone x light" -> "monk_10 x night" -> indices of the rows."""
    titles = {pair: " x ".join(pair) for pair in pairs}
    joint = [
        {title: f"{row[one]} x {row[other]}" for (one, other), title in titles.items() if {one, other} <= row.keys()}
        for row in factors
    ]
    return slice_rows(joint, tuple(titles.values()))


def equalised_odds(slices: Mapping[str, Mapping[str, Figures]]) -> dict[str, Figures]:
    """How unequally errors fall on the values of each factor (Hardt et al., arXiv 1610.02413).

    Args:
        slices: Factor -> value -> figures of the checkpoint (``rate_slice``).

    Returns:
        Factor -> ``fnr_gap`` and ``fpr_gap``, the largest less the least rate among its rated values; ``gap``, the
        larger of both; and the values that have the largest rates. Factors whose values cannot be compared are left
        out: fewer than two are rated, or each goes with one label only (headwear).
    """
    found = {}
    for factor, values in slices.items():
        rates = {
            rate: {value: figures[rate] for value, figures in values.items() if figures.get(rate) is not None}
            for rate in ("fnr", "fpr")
        }
        if min(len(each) for each in rates.values()) < 2:
            continue
        gaps = {f"{rate}_gap": max(each.values()) - min(each.values()) for rate, each in rates.items()}
        worst = {f"{rate}_worst": max(each, key=each.__getitem__) for rate, each in rates.items()}
        found[factor] = {"gap": max(gaps.values()), **gaps, **worst}
    return found


def rate_slice(table: Predictions, rows: NDArray[np.int64], confidence: float, min_rows: int) -> Figures:
    """Figures of some rows: count and, from ``min_rows`` on, the checkpoint's rates and every artifact's accuracy."""
    figures: Figures = {"count": len(rows)}
    columns = [name for name in table.probabilities if table.is_whole(name)]
    targets, positive = table.targets[rows], len(table.labels) - 1
    rated = len(rows) >= min_rows
    for column in columns if rated else ():
        decisions = table.decisions(column)[rows]
        low_high = _share(decisions == targets, confidence)
        if column == CHECKPOINT:
            figures |= dict(zip(("accuracy", "accuracy_low", "accuracy_high"), low_high, strict=True))
            figures["fnr"] = finite(classification.false_negative_rate(decisions, targets, positive))
            figures["fpr"] = finite(classification.false_positive_rate(decisions, targets, positive))
        else:
            figures.setdefault("artifacts", {})[column] = low_high[0]
    if not rated:
        figures["accuracy"] = None
    return figures


def expected_cost(
    table: Predictions, column: str, scenarios: Sequence[str | None], costs: Mapping[str, Mapping[str, float]]
) -> Figures:
    """Expected cost of wrong decisions per 1,000 checks, overall and by scenario.

    Scenarios and labels weigh as often as they stand among the selfies; rows of a scenario without costs are left out.

    Returns:
        ``overall`` and every scenario -> cost in the policy's unit; empty where no row has a scenario with costs.
    """
    if not table.is_whole(column):
        return {}
    by_scenario: dict[str, list[float]] = {}
    for scenario, decided, target in zip(scenarios, table.decisions(column), table.targets, strict=True):
        if scenario is not None and scenario in costs:
            cost = costs[scenario][table.labels[decided]] if decided != target else 0.0
            by_scenario.setdefault(scenario, []).append(cost)
    if not by_scenario:
        return {}
    named = {name: 1000 * float(np.mean(by_scenario[name])) for name in sorted(by_scenario)}
    everything = [cost for rows in by_scenario.values() for cost in rows]
    return {"overall": 1000 * float(np.mean(everything)), **named}


def confusion_table(table: Predictions, column: str) -> dict[str, dict[str, int]]:
    """True label -> decided label -> count; empty where there are no answers."""
    if not table.is_whole(column):
        return {}
    counts = classification.confusion_matrix(table.decisions(column), table.targets, len(table.labels))
    return {
        true: {decided: int(counts[i, j]) for j, decided in enumerate(table.labels)}
        for i, true in enumerate(table.labels)
    }


def _share(right: NDArray[np.bool_], confidence: float) -> tuple[float, float, float]:
    low, high = statistics.wilson_interval(int(right.sum()), len(right), confidence)
    return (float(np.mean(right)) if len(right) else math.nan), low, high

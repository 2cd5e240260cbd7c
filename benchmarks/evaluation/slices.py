"""Slices of the test set: the selfies that share a factor's value, or a pair of values, and the figures on them.

Pure. How unequally errors fall on the values of a factor follows equalised odds (Hardt et al., arXiv 1610.02413).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation.accuracy import accuracy_estimate, finite_or_none
from benchmarks.evaluation.measurement import EqualisedOdds, SliceFigures
from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from pipeline.metrics import classification

RowsByValue = dict[str, dict[str, NDArray[np.int64]]]
"""Factor -> value -> indices of the rows that have it."""
_JOIN = " x "


def rows_by_value(factors: Sequence[Mapping[str, str]], order: Sequence[str]) -> RowsByValue:
    """Group rows by the value of each factor.

    Args:
        factors: Factor -> value of each row.
        order: Factors that come first; the others follow by name. Values are sorted.
    """
    rows: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, row in enumerate(factors):
        for name, value in row.items():
            rows[name][value].append(index)
    names = [*(name for name in order if name in rows), *sorted(set(rows) - set(order))]
    return {name: {value: np.array(at) for value, at in sorted(rows[name].items())} for name in names}


def rows_by_pair(factors: Sequence[Mapping[str, str]], pairs: Sequence[tuple[str, str]]) -> RowsByValue:
    """Group rows by the values of two factors at once: "skin_tone x light" -> "monk_10 x night" -> indices."""
    titles = {pair: _JOIN.join(pair) for pair in pairs}
    joint = [
        {
            title: f"{row[one]}{_JOIN}{row[other]}"
            for (one, other), title in titles.items()
            if {one, other} <= row.keys()
        }
        for row in factors
    ]
    return rows_by_value(joint, tuple(titles.values()))


def slice_figures(table: Predictions, rows: NDArray[np.int64], confidence: float, min_rows: int) -> SliceFigures:
    """Figures on some rows: the checkpoint's accuracy and error rates, and each artifact's accuracy.

    Args:
        table: Predictions on the whole test set.
        rows: Indices of the slice's rows, int64 (n,).
        confidence: Two-sided level of the interval, in (0, 1).
        min_rows: A slice of fewer rows is counted, and all its figures are None.
    """
    if len(rows) < min_rows:
        return SliceFigures(count=len(rows))
    targets, positive = table.targets[rows], len(table.labels) - 1
    decisions = {name: table.decisions(name)[rows] for name in table.probabilities if table.is_whole(name)}
    own = decisions.pop(CHECKPOINT, None)
    artifacts = {name: float(np.mean(decided == targets)) for name, decided in decisions.items()}
    if own is None:
        return SliceFigures(count=len(rows), artifacts=artifacts)
    return SliceFigures(
        count=len(rows),
        accuracy=accuracy_estimate(own == targets, confidence),
        fnr=finite_or_none(classification.false_negative_rate(own, targets, positive)),
        fpr=finite_or_none(classification.false_positive_rate(own, targets, positive)),
        artifacts=artifacts,
    )


def equalised_odds(slices: Mapping[str, Mapping[str, SliceFigures]]) -> dict[str, EqualisedOdds]:
    """Gaps between the largest and the smallest error rate among the values of each factor.

    Args:
        slices: Factor -> value -> figures.

    Returns:
        Factor -> gaps. A factor is left out where fewer than two of its values have a rate, e.g. because each value
        goes with one label only (headwear).
    """
    gaps = {}
    for factor, values in slices.items():
        fnr = {value: figures.fnr for value, figures in values.items() if figures.fnr is not None}
        fpr = {value: figures.fpr for value, figures in values.items() if figures.fpr is not None}
        if min(len(fnr), len(fpr)) < 2:
            continue
        fnr_gap, fpr_gap = (max(rates.values()) - min(rates.values()) for rates in (fnr, fpr))
        gaps[factor] = EqualisedOdds(
            gap=max(fnr_gap, fpr_gap),
            fnr_gap=fnr_gap,
            fpr_gap=fpr_gap,
            fnr_worst=max(fnr, key=fnr.__getitem__),
            fpr_worst=max(fpr, key=fpr.__getitem__),
        )
    return gaps

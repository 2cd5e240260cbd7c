"""Predictions of a candidate and of the accepted baseline on the same selfies, row by row.

Pure. The gate's checks and the report's changes are both computed from these pairs, so that they count alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation.predictions import CHECKPOINT, Predictions

Bools = NDArray[np.bool_]


class PairedRows(NamedTuple):
    """One property of the same selfies under both models, bool (n,) each, e.g. whether a decision is correct."""

    baseline: Bools
    candidate: Bools


@dataclass(frozen=True, slots=True)
class PairedPredictions:
    """Two tables of predictions on the same selfies.

    Attributes:
        candidate: The candidate's table.
        baseline: The baseline's table.
        order: Row of the baseline's table for each row of the candidate's, int64 (n,).
    """

    candidate: Predictions
    baseline: Predictions
    order: NDArray[np.int64]

    def is_usable(self, column: str) -> bool:
        """Whether both tables have this column and all its predictions are finite."""
        return self.candidate.is_whole(column) and self.baseline.is_whole(column)

    def correct(self, column: str) -> PairedRows | None:
        """Whether each decision of a column is correct; None where a prediction is missing or not finite."""
        decided = self._decisions(column)
        if decided is None:
            return None
        return PairedRows(*(rows == self.candidate.targets for rows in decided))

    def agrees_with_checkpoint(self, column: str) -> PairedRows | None:
        """Whether each decision of a column equals that of the checkpoint in the same table."""
        decided, checkpoint = self._decisions(column), self._decisions(CHECKPOINT)
        if decided is None or checkpoint is None:
            return None
        return PairedRows(*(rows == own for rows, own in zip(decided, checkpoint, strict=True)))

    def false_negatives(self, column: str) -> PairedRows | None:
        """Of the selfies with the positive label, which are decided otherwise; None where there are no such selfies."""
        decided, positive = self._decisions(column), self.positive_rows
        if decided is None or not positive.any():
            return None
        return PairedRows(*(rows[positive] != self._positive_label for rows in decided))

    def false_positives(self, column: str) -> PairedRows | None:
        """Of the other selfies, which are decided to be positive; None where there are no such selfies."""
        decided, negative = self._decisions(column), ~self.positive_rows
        if decided is None or not negative.any():
            return None
        return PairedRows(*(rows[negative] == self._positive_label for rows in decided))

    @property
    def positive_rows(self) -> Bools:
        """Whether each selfie has the positive label, bool (n,)."""
        return np.equal(self.candidate.targets, self._positive_label)

    @property
    def _positive_label(self) -> int:
        return len(self.candidate.labels) - 1

    def _decisions(self, column: str) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
        """Decided label indices of the baseline and of the candidate, int64 (n,) each, in the candidate's order."""
        if not self.is_usable(column):
            return None
        return self.baseline.decisions(column)[self.order], self.candidate.decisions(column)


def pair_predictions(candidate: Predictions, baseline: Predictions) -> PairedPredictions:
    """Bring both tables into one order; ``why_not_comparable`` must have returned an empty text."""
    rows = {key: row for row, key in enumerate(baseline.ids)}
    return PairedPredictions(candidate, baseline, np.array([rows[key] for key in candidate.ids], np.int64))


def why_not_comparable(candidate: Predictions, baseline: Predictions) -> str:
    """Why two tables cannot be paired; empty where they can."""
    if candidate.labels != baseline.labels:
        return f"another task: labels {', '.join(candidate.labels)}; the baseline's are {', '.join(baseline.labels)}"
    if candidate.dataset_id() != baseline.dataset_id():
        shared = len(
            set(zip(candidate.ids, candidate.sha256, strict=True))
            & set(zip(baseline.ids, baseline.sha256, strict=True))
        )
        return f"other selfies: {shared} of {len(candidate.ids)} are among the baseline's {len(baseline.ids)}"
    return ""

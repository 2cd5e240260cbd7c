"""A subset of rows in which every value of every factor is represented."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.data.records import Image


def choose_rows(rows: Sequence[Image], count: int, seed: int) -> list[Image]:
    """Choose rows whose labels and factors are shared out as in all rows.

    Takes one row after the other: the one whose label and factor values lag most behind their share so far. Ties are
    broken by a hash of seed and id, so the choice does not depend on the order of the rows.

    Args:
        rows: Candidates; factors may be empty (photographs).
        count: At most so many; all rows when there are fewer.
        seed: Another seed, another choice.

    Returns:
        The chosen rows in the order they were taken: the first k of them are representative, too.
    """
    ordered = sorted(rows, key=lambda row: hashlib.sha256(f"{seed}:{row.id}".encode()).digest())
    columns = _encode(ordered)
    shares = [np.bincount(column) / len(ordered) for column in columns]
    taken = [np.zeros(len(share)) for share in shares]
    free = np.ones(len(ordered), bool)
    chosen: list[Image] = []
    for step in range(1, min(count, len(ordered)) + 1):
        lag = sum((share * step - done)[column] for column, share, done in zip(columns, shares, taken, strict=True))
        best = int(np.argmax(np.where(free, lag, -np.inf)))
        free[best] = False
        chosen.append(ordered[best])
        for column, done in zip(columns, taken, strict=True):
            done[column[best]] += 1
    return chosen


def _encode(rows: Sequence[Image]) -> list[NDArray[np.int64]]:
    """One column of small integers for the label, and one for each factor (an absent factor is a value of its own)."""
    factors = sorted({name for row in rows for name in row.factors})
    columns = [[row.label for row in rows], *([row.factors.get(name, "") for row in rows] for name in factors)]
    return [np.unique(np.array(column), return_inverse=True)[1].astype(np.int64) for column in columns]

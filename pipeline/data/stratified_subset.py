"""A small subset of rows in which labels and factor values have the same shares as in all rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.data.records import Image


def choose_rows(rows: Sequence[Image], count: int, seed: int) -> list[Image]:
    """Choose rows so that labels and factor values keep their shares.

    Greedy: each step takes the row whose label and factor values are furthest below their shares among the rows chosen
    so far, summed over label and factors. Ties are broken by a hash of seed and id, so the order of ``rows`` does not
    matter.

    Args:
        rows: Candidates; factors may be empty (photographs).
        count: Number of rows to choose; all are chosen if there are fewer.
        seed: Breaks ties: another seed chooses other rows.

    Returns:
        The chosen rows in the order they were taken: every prefix is representative as well.
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
    """Encode label and factors as integers, int64 (rows,) each; an absent factor counts as one more value."""
    factors = sorted({name for row in rows for name in row.factors})
    columns = [[row.label for row in rows], *([row.factors.get(name, "") for row in rows] for name in factors)]
    return [np.unique(np.array(column), return_inverse=True)[1].astype(np.int64) for column in columns]

"""Pure: features -> how far each picture lies out of sample, in [0, 1]; lower is further. Reads and writes nothing.

cleanlab's score: exp(-d / s), with d the mean cosine distance to the nearest neighbours and s a typical such distance
(Kuan and Mueller, "Back to the Basics: Revisiting Out-of-Distribution Detection Baselines", 2022). Neighbours are
sought in the half of the set that the picture is not in, thinned out where it is large: no picture is its own
neighbour, and cost grows with the number of pictures.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS = 10
REFERENCE = 4_000
"""Pictures at most among which neighbours are sought."""
READ_AT_ONCE = 2_000


def score_outliers(
    features: Callable[[NDArray[np.int64]], NDArray[np.float32]], count: int, advance: Callable[[], None]
) -> NDArray[np.float64]:
    """Score pictures; where a half has no more than ``NEIGHBOURS`` nothing can be said, and all score one.

    Args:
        features: Gives the features of pictures by their row: float32 (rows, width).
        count: How many pictures there are.
        advance: Called after each half.

    Returns:
        float64 (count,) in [0, 1].
    """
    from cleanlab.outlier import OutOfDistribution

    scores = np.ones(count)
    if count // 2 <= NEIGHBOURS:
        return scores
    halves = [np.arange(half, count, 2) for half in (0, 1)]
    for mine, others in (halves, halves[::-1]):
        judge = OutOfDistribution({"k": NEIGHBOURS})
        judge.fit(features=features(others[:: -(-len(others) // REFERENCE)]), verbose=False)
        for first in range(0, len(mine), READ_AT_ONCE):
            rows = mine[first : first + READ_AT_ONCE]
            scores[rows] = judge.score(features=features(rows))
        advance()
    return scores

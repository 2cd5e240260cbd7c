"""Outliers: features -> how similar each image is to its nearest neighbours in the set.

The score is cleanlab's: exp(-d / s), where d is the mean cosine distance to the nearest neighbours and s a typical such
distance (Kuan and Mueller, "Back to the Basics: Revisiting Out-of-Distribution Detection Baselines", 2022). Neighbours
are searched in the half of the set that the image is not in, subsampled if it is large: no image is its own neighbour,
and the cost grows linearly with the number of images. Reads and writes no files.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS = 10
MAX_REFERENCE_IMAGES = 4_000
"""Images at most among which neighbours are searched."""
ROWS_PER_READ = 2_000


def score_outliers(
    features: Callable[[NDArray[np.int64]], NDArray[np.float32]], count: int, advance: Callable[[], None]
) -> NDArray[np.float64]:
    """Score how typical each image is; lower is more unusual.

    Args:
        features: Reads the features of some rows: int64 (rows,) -> float32 (rows, width).
        count: Number of images.
        advance: Called after each half of the set.

    Returns:
        float64 (count,) in [0, 1]; all ones if a half has no more than ``NEIGHBOURS`` images.
    """
    from cleanlab.outlier import OutOfDistribution

    scores = np.ones(count)
    if count // 2 <= NEIGHBOURS:
        return scores
    halves = [np.arange(half, count, 2) for half in (0, 1)]
    for scored, reference in (halves, halves[::-1]):
        detector = OutOfDistribution({"k": NEIGHBOURS})
        step = -(-len(reference) // MAX_REFERENCE_IMAGES)
        detector.fit(features=features(reference[::step]), verbose=False)
        for first in range(0, len(scored), ROWS_PER_READ):
            rows = scored[first : first + ROWS_PER_READ]
            scores[rows] = detector.score(features=features(rows))
        advance()
    return scores

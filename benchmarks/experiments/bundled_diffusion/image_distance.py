"""How close two sets of pictures are, and whether one copies the other; in the features of any network. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float32]


def kernel_distance(first: Features, second: Features) -> float:
    """Kernel inception distance of two sets of features, float32 (N, D) and (M, D); 0: the same distribution.

    The unbiased squared maximum mean discrepancy under the kernel (x . y / D + 1)^3 (Binkowski et al., "Demystifying
    MMD GANs", ICLR 2018); being unbiased, it may fall slightly below 0.
    """
    n, m, width = len(first), len(second), first.shape[1]
    own, other = ((values @ values.T / width + 1).astype(np.float64) ** 3 for values in (first, second))
    across = (first @ second.T / width + 1).astype(np.float64) ** 3
    within = (own.sum() - np.trace(own)) / (n * (n - 1)) + (other.sum() - np.trace(other)) / (m * (m - 1))
    return float(within - 2 * across.mean())


def nearest_distances(pictures: Features, known: Features, chunk: int = 512) -> NDArray[np.float32]:
    """Euclidean distance from each of (N, D) features to the nearest of (M, D) known ones: float32 (N,)."""
    lengths = np.square(known).sum(1)
    parts = []
    for first in range(0, len(pictures), chunk):
        part = pictures[first : first + chunk]
        squares = np.square(part).sum(1)[:, None] + lengths - 2 * part @ known.T
        parts.append(np.sqrt(squares.min(1).clip(min=0)))
    return np.concatenate(parts).astype(np.float32)


def copied_share(made: NDArray[np.float32], unseen: NDArray[np.float32], quantile: float = 0.01) -> float:
    """Share of made pictures nearer to a known one than all but ``quantile`` of unseen genuine ones are.

    Args:
        made: Distances of made pictures to the nearest known one.
        unseen: The same of genuine pictures that nobody learned from: how near chance brings one.
        quantile: Also the value to expect of pictures that copy nothing.
    """
    return float((made < np.quantile(unseen, quantile)).mean())

"""Distance between two sets of images, and whether one copies the other, in the features of any network. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float32]
"""Feature vectors of images, float32 (n, width)."""


def kernel_distance(first: Features, second: Features) -> float:
    """Kernel inception distance of two sets of features, (n, width) and (m, width); 0: the same distribution.

    The unbiased squared maximum mean discrepancy with the kernel (x . y / width + 1)^3 (Binkowski et al., "Demystifying
    MMD GANs", ICLR 2018); because it is unbiased, it may be slightly below 0.
    """
    n, m, width = len(first), len(second), first.shape[1]
    own, other = ((values @ values.T / width + 1).astype(np.float64) ** 3 for values in (first, second))
    across = (first @ second.T / width + 1).astype(np.float64) ** 3
    within = (own.sum() - np.trace(own)) / (n * (n - 1)) + (other.sum() - np.trace(other)) / (m * (m - 1))
    return float(within - 2 * across.mean())


def nearest_distances(images: Features, references: Features, chunk: int = 512) -> NDArray[np.float32]:
    """Euclidean distance of each of (n, width) features to the nearest of (m, width) references: float32 (n,)."""
    lengths = np.square(references).sum(1)
    parts = []
    for first in range(0, len(images), chunk):
        part = images[first : first + chunk]
        squares = np.square(part).sum(1)[:, None] + lengths - 2 * part @ references.T
        parts.append(np.sqrt(squares.min(1).clip(min=0)))
    return np.concatenate(parts).astype(np.float32)


def copied_share(generated: NDArray[np.float32], real: NDArray[np.float32], quantile: float = 0.01) -> float:
    """Share of generated images that are nearer to a training image than all but ``quantile`` of real images.

    Args:
        generated: Distances of generated images to the nearest training image.
        real: The same of real images outside the training set, which are near to one only by chance.
        quantile: Also the expected value for a generator that copies nothing.
    """
    return float((generated < np.quantile(real, quantile)).mean())

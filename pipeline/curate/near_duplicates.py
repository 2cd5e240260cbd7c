"""Near duplicates: all images but the first of each group with nearly equal perceptual hashes.

The hash is ``pipeline.data.perceptual_hash``: 144 bits of a DCT (Zauner, "Implementation and Benchmarking of Perceptual
Image Hash Functions", 2010). Reads and writes no files.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.data.perceptual_hash import near_pairs
from pipeline.data.records import Image


def find_near_duplicates(
    hashes: NDArray[np.uint64], images: Sequence[Image], threshold: float
) -> dict[int, tuple[int, float]]:
    """Find images that repeat an earlier image of the same label.

    The first image of a group is never a duplicate, and duplicates are only compared with images that are none. Another
    noise seed of a caption counts as a duplicate only if the image came out nearly identical. Counterfactuals (same
    group, other factors) are never duplicates: if they look alike, one of them shows the wrong label, and the label
    check decides which.

    Args:
        hashes: Perceptual hashes, uint64 (n, 3), in the order of the images.
        images: The n records.
        threshold: Share of differing bits in [0, 1], below which images are duplicates; 0 finds none.

    Returns:
        Row of each duplicate -> (row of the image it repeats, share of differing bits).
    """
    duplicates: dict[int, tuple[int, float]] = {}
    labels = np.asarray([image.label for image in images])
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        for first, second, share in near_pairs(hashes[rows], hashes[rows], threshold):
            original, duplicate = int(rows[first]), int(rows[second])
            is_counterfactual = (
                images[original].group == images[duplicate].group
                and images[original].factors != images[duplicate].factors
            )
            if original not in duplicates and duplicate not in duplicates and not is_counterfactual:
                duplicates[duplicate] = (original, share)
    return duplicates

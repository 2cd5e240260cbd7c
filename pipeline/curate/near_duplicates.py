"""Near-duplicate images: all but the first of each group of images with nearly equal perceptual hashes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.data.perceptual_hash import near_pairs
from pipeline.data.records import Image


def find_copies(
    fingerprints: NDArray[np.uint64], images: Sequence[Image], threshold: float
) -> dict[int, tuple[int, float]]:
    """Find pictures that add nothing to an earlier one.

    A picture is a copy when its fingerprint differs from that of an earlier picture of the same label, itself no copy,
    in a share of bits below the threshold. So the first stays, and another seed of a caption is a copy only where it
    came out all but identical. Counterfactuals never pair: neither under two labels nor, where one drew its label
    wrongly, under one (same group, other factors); which of the two is wrong is for the label check to say.

    Args:
        fingerprints: uint64 (n, 3), in order.
        images: The n records they belong to.
        threshold: Share of differing bits; 0 finds no copies.

    Returns:
        Row of each copy -> (row of the picture it repeats, share of differing bits).
    """
    copies: dict[int, tuple[int, float]] = {}
    labels = np.asarray([image.label for image in images])
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        for first, second, share in near_pairs(fingerprints[rows], fingerprints[rows], threshold):
            original, copy = int(rows[first]), int(rows[second])
            counterfactual = (
                images[original].group == images[copy].group and images[original].factors != images[copy].factors
            )
            if original not in copies and copy not in copies and not counterfactual:
                copies[copy] = (original, share)
    return copies

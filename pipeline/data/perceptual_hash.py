"""Perceptual hashes (pHash) of images, and pairs of images whose hashes differ in few bits.

A hash has ``HASH_BITS`` bits: the signs of the 12 x 12 lowest frequencies of a discrete cosine transform, relative to
their median (the ``imagehash`` package). Re-encoding, resizing or brightening an image flips few of them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from pipeline.data.preprocess import Pixels

Fingerprint = NDArray[np.uint64]
"""uint64 (3,): ``HASH_BITS`` bits, then zeros."""
Scores = NDArray[np.float64]
HASH_SIZE = 12
HASH_BITS = HASH_SIZE * HASH_SIZE


def fingerprint(pixels: Pixels) -> Fingerprint:
    """Compute the perceptual hash of an image.

    Args:
        pixels: uint8 (height, width, 3) RGB, any size.
    """
    import imagehash

    bits = imagehash.phash(PIL.Image.fromarray(pixels), hash_size=HASH_SIZE).hash
    packed = np.packbits(bits)
    return np.pad(packed, (0, -len(packed) % 8)).view(np.uint64)


def differing_share(one: Fingerprint, others: NDArray[np.uint64]) -> Scores:
    """Compare one hash with n others, uint64 (n, 3): share of differing bits, float64 (n,) in 0..1."""
    return np.asarray(np.bitwise_count(one ^ others).sum(axis=1) / HASH_BITS, np.float64)


def near_pairs(
    left: NDArray[np.uint64], right: NDArray[np.uint64], threshold: float
) -> Iterator[tuple[int, int, float]]:
    """Find pairs of similar images.

    Args:
        left: Hashes, uint64 (n, 3).
        right: Hashes of the same images, uint64 (n, 3); those of their mirror images, to find mirrored copies.
        threshold: Share of differing bits, 0..1.

    Yields:
        (i, j, share) with i < j, where left[i] and right[j] differ in a smaller share than ``threshold``.
    """
    for row in range(len(left) - 1):
        shares = differing_share(left[row], right[row + 1 :])
        for offset in np.flatnonzero(shares < threshold):
            yield row, row + 1 + int(offset), float(shares[offset])

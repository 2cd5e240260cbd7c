"""Perceptual hashes of images, and pairs of images whose hashes differ little."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import PIL.Image
import PIL.ImageStat
from numpy.typing import NDArray

from pipeline.data.preprocess import Pixels

Fingerprint = NDArray[np.uint64]
Scores = NDArray[np.float64]


HASH_SIZE = 12


HASH_BITS = HASH_SIZE * HASH_SIZE


def fingerprint(pixels: Pixels) -> Fingerprint:
    """Perceptual hash of a picture, uint8 (height, width, 3) RGB: 144 bits and padding as uint64 (3,)."""
    import imagehash

    bits = imagehash.phash(PIL.Image.fromarray(pixels), hash_size=HASH_SIZE).hash
    packed = np.packbits(bits)
    return np.pad(packed, (0, -len(packed) % 8)).view(np.uint64)


def differing_share(one: Fingerprint, others: NDArray[np.uint64]) -> Scores:
    """Share of bits in which one fingerprint (3,) differs from each of others (n, 3): float64 (n,), 0 is the same."""
    return np.asarray(np.bitwise_count(one ^ others).sum(axis=1) / HASH_BITS, np.float64)


def near_pairs(
    left: NDArray[np.uint64], right: NDArray[np.uint64], threshold: float
) -> Iterator[tuple[int, int, float]]:
    """Yield (i, j, share) for i < j where fingerprints left[i] and right[j], each (n, 3), differ in a share below."""
    for row in range(len(left) - 1):
        shares = differing_share(left[row], right[row + 1 :])
        for offset in np.flatnonzero(shares < threshold):
            yield row, row + 1 + int(offset), float(shares[offset])

"""Pure: pixels -> score in [0, 1] -> reason or None; lower is worse, a score below its threshold is a reason to reject.

Brightness, blur and information are CleanVision's measures and scores (https://github.com/cleanlab/cleanvision); its
default thresholds are meant for daylight photographs and would throw night away, so thresholds come from params.
Copies are found by a 144-bit perceptual hash (DCT; Zauner, "Implementation and Benchmarking of Perceptual Image Hash
Functions", 2010). Reads and writes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import PIL.Image
import PIL.ImageStat
from numpy.typing import NDArray

from pipeline.data.preprocess import Pixels
from pipeline.data.records import Image

Fingerprint = NDArray[np.uint64]
Scores = NDArray[np.float64]

MEASURES = (
    *(f"brightness_perc_{percentile}" for percentile in (1, 5, 10, 15, 90, 95, 99)),
    "brightness",
    "entropy",
    "blurriness",
    "blurriness_grayscale_std",
)
"""CleanVision's names of what is measured of a picture."""
QUALITY = ("dark", "light", "low_information", "blurry")
"""Reasons that one picture alone can give, in the order in which they are recorded."""
HASH_SIZE = 12
HASH_BITS = HASH_SIZE * HASH_SIZE
LONGEST_SIDE = 256
"""Larger pictures are scaled down before they are scored: the measures suit thumbnails, and cost by the pixel."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a picture is doubtful: ``score`` in [0, 1] lies below ``threshold``."""

    reason: str
    score: float
    threshold: float
    detail: str = ""


def find(reason: str, score: float, threshold: float, detail: str = "") -> Finding | None:
    """Judge one score: a finding where it lies below the threshold, else None; threshold 0 never finds."""
    return Finding(reason, float(score), threshold, detail) if score < threshold else None


def measure_quality(pixels: Pixels) -> Scores:
    """Take CleanVision's raw measures of one picture, uint8 (height, width, 3) RGB: float64 (``len(MEASURES)``,).

    One thing differs. Pillow leaves the outermost pixels of an edge filter as they were, so CleanVision counts a frame
    of brightness among the edges; in thumbnails it drowns the blur (portraits blurred with a radius of 10 pixels scored
    0.32, sharp ones 0.43). The frame is cut off, and its correction for few colours, which adds as much, is left out.
    """
    from cleanvision.issue_managers.image_property import BrightnessProperty, EntropyProperty

    picture = PIL.Image.fromarray(pixels)
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), PIL.Image.Resampling.BILINEAR)
    measures: dict[str, float] = {
        **BrightnessProperty("dark").calculate(picture),
        **EntropyProperty().calculate(picture),
    }
    measures |= {"blurriness": _edge_strength(picture), "blurriness_grayscale_std": 0.0}
    return np.asarray([measures[name] for name in MEASURES], np.float64)


def _edge_strength(picture: PIL.Image.Image) -> float:
    from cleanvision.issue_managers.image_property import get_edges
    from cleanvision.utils.constants import MAX_RESOLUTION_FOR_BLURRY_DETECTION as LONGEST

    small = picture.convert("L")
    small.thumbnail((LONGEST, LONGEST))
    if min(small.size) < 3:
        return 0.0
    inner = get_edges(small).crop((1, 1, small.width - 1, small.height - 1))
    return float(PIL.ImageStat.Stat(inner).stddev[0])


def score_quality(measures: Scores) -> dict[str, Scores]:
    """Turn raw measures into CleanVision's scores.

    Args:
        measures: float64 (n, ``len(MEASURES)``), as `measure_quality` takes them.

    Returns:
        Reason of ``QUALITY`` -> float64 (n,) in [0, 1].
    """
    import pandas as pd
    from cleanvision.issue_managers.image_property_issue_manager import ImagePropertyIssueManager

    manager = ImagePropertyIssueManager()
    table = pd.DataFrame(measures, columns=list(MEASURES))
    scores: dict[str, Scores] = {}
    for reason in QUALITY:
        options = {key: value for key, value in manager.params[reason].items() if key != "threshold"}
        scored = manager.image_properties[reason].get_scores(raw_scores=table, issue_type=reason, **options)
        scores[reason] = scored[f"{reason}_score"].to_numpy(np.float64)
    return scores


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


def hash_share(seed: int, name: str) -> float:
    """Stable hash of a name and a seed in [0, 1): the same on every machine, whatever stands beside it."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8], "big") / 2**64

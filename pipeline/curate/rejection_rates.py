"""Rejection rate of each slice, with its interval, and the slices that curation rejects too often.

A slice is a label or one value of a factor. A curation that rejects dark skin at night more often than other images
produces a model that fails there. Reads and writes no files.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pipeline.config.policy import LABEL
from pipeline.data.records import Image
from pipeline.metrics.statistics import wilson_interval

MAX_RATE_RATIO = 2.0
"""A slice is rejected too often above this multiple of the average rate."""
CONFIDENCE = 0.999
"""Level of the interval that must lie above the average rate as well; high, because about 100 slices are compared."""


@dataclass(frozen=True, slots=True)
class SliceRejections:
    """Rejections in one slice.

    Attributes:
        name: ``factor=value``; the factor of a label is ``label``.
        images: Images of the slice.
        rejected: Images of it that were rejected.
        rate: rejected / images, in [0, 1].
        low: Lower end of the rate's 95 % Wilson interval.
        high: Upper end of that interval.
    """

    name: str
    images: int
    rejected: int
    rate: float
    low: float
    high: float

    @property
    def top_up(self) -> int:
        """Prompts to add so that, at this rate, as many images are kept as were rejected."""
        return math.ceil(self.rejected / (1 - self.rate)) if self.rate < 1 else self.rejected


RejectionsBySlice = dict[str, dict[str, SliceRejections]]
"""Factor (or ``label``) -> value -> its rejections."""


def count_rejections(images: Sequence[Image], rejected: Collection[int]) -> RejectionsBySlice:
    """Count the rejections of each slice.

    Args:
        images: All images.
        rejected: Rows of the rejected images.

    Returns:
        Factor -> value -> rejections; the label comes first, values are in alphabetical order.
    """
    totals: dict[str, Counter[str]] = {}
    rejections: dict[str, Counter[str]] = {}
    for row, image in enumerate(images):
        for factor, value in {LABEL: image.label, **image.factors}.items():
            totals.setdefault(factor, Counter())[value] += 1
            rejections.setdefault(factor, Counter())[value] += row in rejected
    return {
        factor: {
            value: _slice_rejections(f"{factor}={value}", rejections[factor][value], count)
            for value, count in sorted(counts.items())
        }
        for factor, counts in totals.items()
    }


def over_rejected_slices(slices: RejectionsBySlice) -> list[SliceRejections]:
    """Find slices whose rate is above ``MAX_RATE_RATIO`` times the average, and significantly above it; worst first."""
    labels = slices.get(LABEL, {}).values()
    average = sum(label.rejected for label in labels) / max(1, sum(label.images for label in labels))
    over_rejected = [
        row
        for values in slices.values()
        for row in values.values()
        if row.rate > MAX_RATE_RATIO * average and wilson_interval(row.rejected, row.images, CONFIDENCE)[0] > average
    ]
    return sorted(over_rejected, key=lambda row: (-row.rate, row.name))


def _slice_rejections(name: str, rejected: int, images: int) -> SliceRejections:
    low, high = wilson_interval(rejected, images)
    return SliceRejections(name, images, rejected, rejected / images, low, high)

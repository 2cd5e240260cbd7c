"""Pure: who is thrown away -> rejection rate of every slice with its interval, and the slices that lose too much.

A slice is a label or a value of a factor. A curator that throws dark skin at night away makes a model that fails there.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pipeline.config.policy import LABEL
from pipeline.data.records import Image
from pipeline.metrics.statistics import wilson_interval

TIMES = 2.0
"""A slice loses too much above so many times the average."""
CONFIDENCE = 0.999
"""Of the interval that must lie above the average too: a hundred slices are looked at side by side."""


@dataclass(frozen=True, slots=True)
class SliceLoss:
    """What a slice lost.

    Attributes:
        name: As ``factor=value``; the factor of a label is ``label``.
        count: Images of it.
        lost: Those rejected.
        rate: Their share.
        low: Lower end of the rate's 95 % Wilson interval.
        high: Upper end.
    """

    name: str
    count: int
    lost: int
    rate: float
    low: float
    high: float

    @property
    def top_up(self) -> int:
        """Prompts to ask for so that, at this rate, as many images are kept as were lost."""
        return math.ceil(self.lost / (1 - self.rate)) if self.rate < 1 else self.lost


Losses = dict[str, dict[str, SliceLoss]]
"""Factor (or label) -> value -> what it lost."""


def slice_losses(images: Sequence[Image], rejected: Collection[int]) -> Losses:
    """Count what each slice lost: factor -> value -> loss, the label first, values in order of their names.

    Args:
        images: Every image.
        rejected: Rows of those rejected.
    """
    totals: dict[str, Counter[str]] = {}
    losses: dict[str, Counter[str]] = {}
    for row, image in enumerate(images):
        for factor, value in {LABEL: image.label, **image.factors}.items():
            totals.setdefault(factor, Counter())[value] += 1
            losses.setdefault(factor, Counter())[value] += row in rejected
    return {
        factor: {value: _loss(f"{factor}={value}", losses[factor][value], count) for value, count in sorted(of.items())}
        for factor, of in totals.items()
    }


def losing_slices(losses: Losses) -> list[SliceLoss]:
    """The slices that lose more than twice the average, and surely (at ``CONFIDENCE``) more than it; worst first."""
    labels = losses.get(LABEL, {}).values()
    average = sum(each.lost for each in labels) / max(1, sum(each.count for each in labels))
    every = [each for of in losses.values() for each in of.values()]
    losing = [each for each in every if each.rate > TIMES * average and _least(each) > average]
    return sorted(losing, key=lambda each: (-each.rate, each.name))


def _least(loss: SliceLoss) -> float:
    return wilson_interval(loss.lost, loss.count, CONFIDENCE)[0]


def _loss(name: str, lost: int, count: int) -> SliceLoss:
    low, high = wilson_interval(lost, count)
    return SliceLoss(name, count, lost, lost / count, low, high)

"""Report section: why curation rejected images, and which slices it rejected most of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from benchmarks.report.charts.svg import count_bar
from benchmarks.report.stage_metrics import CurationMetrics
from pipeline.data.records import Rejection


@dataclass(frozen=True, slots=True)
class RejectionCount:
    """Images rejected for one reason, and a bar of their number."""

    reason: str
    count: int
    bar: Markup


@dataclass(frozen=True, slots=True)
class RejectedSlice:
    """Rejection rate of one slice, with its 95 % interval.

    Attributes:
        name: The slice, as ``factor=value``.
        rate: Share of its images that were rejected.
        low: Lower end of the interval.
        high: Upper end.
        top_up: Extra prompts that make up for the loss; None unless the rate is far above the average.
    """

    name: str
    rate: float
    low: float
    high: float
    top_up: int | None


def count_rejections(rejections: Sequence[Rejection]) -> list[RejectionCount]:
    """Rejections by reason, the most frequent first."""
    counts = Counter(row.reason for row in rejections).most_common()
    most = counts[0][1] if counts else 0
    return [RejectionCount(reason, count, count_bar(count, most)) for reason, count in counts]


def most_rejected_slices(curation: CurationMetrics | None, count: int = 10) -> list[RejectedSlice]:
    """The slices with the highest rejection rate: those far above the average first; none with rate 0."""
    if curation is None:
        return []
    rows = [
        RejectedSlice(
            f"{factor}={value}", row.rate, row.low, row.high, curation.over_rejected_slices.get(f"{factor}={value}")
        )
        for factor, values in curation.rejection_rate_by.items()
        for value, row in values.items()
        if row.rate > 0
    ]
    return sorted(rows, key=lambda row: (row.top_up is None, -row.rate, row.name))[:count]

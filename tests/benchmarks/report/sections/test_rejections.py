"""Section of the report on rejected images."""

from __future__ import annotations

from benchmarks.report.sections.rejections import count_rejections, most_rejected_slices
from benchmarks.report.stage_metrics import CurationMetrics, SliceRejection
from pipeline.data.records import Rejection


def rejected(reason: str) -> Rejection:
    return Rejection(image_id="a", label="helmet", reason=reason, score=0.01, threshold=0.05)


def rate(value: float) -> SliceRejection:
    return SliceRejection(rate=value, low=0.0, high=1.0)


def test_reasons_are_counted_the_most_frequent_first() -> None:
    counts = count_rejections([rejected("dark"), rejected("label_error"), rejected("label_error")])
    assert [(row.reason, row.count) for row in counts] == [("label_error", 2), ("dark", 1)]
    assert count_rejections([]) == []


def test_slices_far_above_the_average_come_first_and_slices_without_rejections_are_left_out() -> None:
    metrics = CurationMetrics(
        kept=39,
        rejection_rate=0.025,
        rejection_rate_by={"light": {"day": rate(0), "night": rate(0.5)}, "age": {"young": rate(0.625)}},
        over_rejected_slices={"light=night": 2},
    )
    rows = most_rejected_slices(metrics)
    assert [(row.name, row.top_up) for row in rows] == [("light=night", 2), ("age=young", None)]
    assert len(most_rejected_slices(metrics, count=1)) == 1
    assert most_rejected_slices(None) == []

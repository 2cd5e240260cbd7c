"""Artifacts that are the baseline's file, byte for byte: they cannot be worse, so what is undecided about them passes.

Otherwise a candidate that changes nothing would be refused where the selfies are too few to prove that it is as good.
Bytes, labels and threshold together fix every decision. Decisions may still differ slightly between machines, whose
processors round differently. A fall that is proven fails all the same: then not the file has changed, but what runs it
or prepares its input.
"""

from __future__ import annotations

from benchmarks.evaluation.measurement import Measurement
from benchmarks.evaluation.predictions import Predictions
from benchmarks.gate.baseline import Baseline
from benchmarks.gate.checks.check_results import identical
from pipeline.data.records import Check

_NOT_THE_FILE = "the file is the baseline's, so what runs it or prepares its pictures has changed"


def find_identical(new: Measurement, predictions: Predictions, baseline: Baseline) -> frozenset[str]:
    """Names of the artifacts with usable predictions whose bytes, labels and threshold are the baseline's."""
    old, before = baseline.measurement.artifacts, baseline.predictions
    if predictions.labels != before.labels:
        return frozenset()
    return frozenset(
        name
        for name, row in new.artifacts.items()
        if name in old
        and row.sha256 == old[name].sha256
        and predictions.is_whole(name)
        and predictions.thresholds[name] == before.thresholds.get(name)
    )


def pass_identical(check: Check, same: bool) -> Check:
    """Return the check on a comparison as it stands where the file is the same.

    Args:
        check: A comparison with the baseline.
        same: Whether the file is the baseline's.
    """
    if not same:
        return check
    if check.verdict == "fail":
        return check.model_copy(update={"reason": f"{_NOT_THE_FILE}: {check.reason}"})
    return identical(check.name, check.artifact, check.limit)

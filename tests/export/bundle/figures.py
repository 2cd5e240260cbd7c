"""Figures of one artifact and of two slices, in the records that the stages write."""

from __future__ import annotations

from benchmarks.evaluation.estimates import Estimate
from benchmarks.evaluation.measurement import ArtifactFigures, CheckpointFigures, Measurement, SelfieSet, SliceFigures
from tests.benchmarks.report import timings

TIMING = timings.TIMING.model_copy(update={"latency_p50_ms": 1.25, "latency_p90_ms": 1.5, "latency_p99_ms": 1.9})


def measurement_of_two_slices(agreement: float | None = 0.99) -> Measurement:
    """Three slices, in fact: the third is too small to have figures."""
    accuracy = Estimate(value=0.9375, low=0.91, high=0.96)
    row = ArtifactFigures(
        format="onnx",
        recipe="float32",
        sha256="f" * 64,
        size_bytes=1,
        accuracy=accuracy,
        fnr=0.02,
        fpr=None,
        auc=None,
        ece=None,
        agreement=agreement,
        max_abs_probability_diff=None,
        abstention_rate=None,
        selective_accuracy=None,
    )
    return Measurement(
        labels=("no_helmet", "helmet"),
        confidence=0.95,
        selfies=SelfieSet(count=520, dataset_id="d" * 64, labels={}),
        checkpoint=CheckpointFigures(id="c" * 64, accuracy=accuracy, fnr=0.1, fpr=0.1, auc=0.97, ece=0.02),
        artifacts={row.name: row},
        slices={
            "light": {
                "day": SliceFigures(count=400, accuracy=Estimate(value=0.99, low=0.98, high=1.0)),
                "night": SliceFigures(count=120, accuracy=Estimate(value=0.81, low=0.73, high=0.87)),
                "dusk": SliceFigures(count=3),
            }
        },
    )

"""A small measurement with every part filled in, and measurements of hand-made predictions."""

from __future__ import annotations

from hashlib import sha256

from benchmarks.evaluation.accuracy import (
    abstention_figures,
    accuracy_figures,
    confusion_counts,
    parity_figures,
)
from benchmarks.evaluation.estimates import Estimate
from benchmarks.evaluation.measurement import (
    ArmLab,
    ArtifactFigures,
    CameraBasis,
    CheckpointFigures,
    DistortionFigures,
    EqualisedOdds,
    ExpectedCost,
    Measurement,
    SelfieSet,
    SliceFigures,
)
from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from benchmarks.evaluation.slices import equalised_odds, rows_by_value, slice_figures
from pipeline.data.records import MeasureInputs

CONFIDENCE = 0.95
NINETY = Estimate(value=0.9, low=0.85, high=0.94)


def artifact_figures(format_name: str = "onnx", recipe: str = "float32") -> ArtifactFigures:
    return ArtifactFigures(
        format=format_name,
        recipe=recipe,
        sha256="f" * 64,
        size_bytes=1234,
        accuracy=NINETY,
        fnr=0.1,
        fpr=0.1,
        auc=0.97,
        ece=0.02,
        agreement=0.99,
        max_abs_probability_diff=0.01,
        abstention_rate=0.05,
        selective_accuracy=0.92,
        camera_accuracy=NINETY,
        camera_drop=0.01,
        camera_agreement=1.0,
        mean_corruption_error=1.1,
        arm64_instructions=27_000_000,
        arm64_accuracy=NINETY,
    )


def full_measurement() -> Measurement:
    slices = {"light": {"night": SliceFigures(count=30, accuracy=NINETY, fnr=0.1, artifacts={"onnx-float32": 0.9})}}
    distorted = DistortionFigures(count=20, accuracy=NINETY, artifact_selfies=5, artifacts={"onnx-float32": 0.8})
    return Measurement(
        labels=("no_helmet", "helmet"),
        confidence=0.95,
        selfies=SelfieSet(count=100, dataset_id="d" * 64, labels={"no_helmet": 50, "helmet": 50}),
        checkpoint=CheckpointFigures(id="c" * 64, accuracy=NINETY, fnr=0.1, fpr=0.1, auc=0.97, ece=0.02, macs=10),
        artifacts={row.name: row for row in (artifact_figures(), artifact_figures("tflite", "static_wi8_ai8"))},
        slices=slices,
        slice_pairs={"light x age": {"night x young": SliceFigures(count=2)}},
        equalised_odds={"light": EqualisedOdds(gap=0.2, fnr_gap=0.2, fpr_gap=0.1, fnr_worst="night", fpr_worst="day")},
        confusion={"no_helmet": {"no_helmet": 45, "helmet": 5}, "helmet": {"no_helmet": 5, "helmet": 45}},
        cost_per_1000={"checkpoint": ExpectedCost(overall=100.0, by_scenario={"night_ride": 200.0})},
        camera={"jpeg": {1: distorted, 3: distorted}},
        camera_basis=CameraBasis(
            selfies=20,
            artifact_selfies=5,
            severity=3,
            mean_accuracy=0.88,
            clean_accuracy=NINETY,
            seed=1,
            example="selfie-3",
        ),
        integration_errors={"swapped_channels": distorted},
        arm64=ArmLab(id="a" * 64, emulated=True, cpus=("cortex-a76",), selfies=10),
        unmeasured={"artifacts.onnx-float32.arm64_agreement": "no answers to compare with"},
    )


def measurement_of(table: Predictions, size_bytes: int = 1_000_000, min_slice: int = 30) -> Measurement:
    """The measurement of predictions whose columns are named FORMAT-RECIPE."""
    slices = {
        name: {value: slice_figures(table, rows, CONFIDENCE, min_slice) for value, rows in values.items()}
        for name, values in rows_by_value(table.factors, ()).items()
    }
    return Measurement(
        labels=table.labels,
        confidence=CONFIDENCE,
        selfies=SelfieSet(count=len(table.ids), dataset_id=table.dataset_id(), labels={}),
        checkpoint=CheckpointFigures(id="abc", **dict(accuracy_figures(table, CHECKPOINT, CONFIDENCE))),
        artifacts={name: figures_of(table, name, size_bytes) for name in table.probabilities if name != CHECKPOINT},
        slices=slices,
        equalised_odds=equalised_odds(slices),
        confusion=confusion_counts(table, CHECKPOINT),
        inputs=MeasureInputs(policy="", params="", artifacts={}, predictions=table.content_hash()),
    )


def figures_of(table: Predictions, name: str, size_bytes: int = 1_000_000) -> ArtifactFigures:
    format_name, recipe = name.split("-", 1)
    return ArtifactFigures(
        format=format_name,
        recipe=recipe,
        sha256=sha256(table.probabilities[name].tobytes()).hexdigest(),
        size_bytes=size_bytes,
        **dict(accuracy_figures(table, name, CONFIDENCE)),
        **dict(parity_figures(table, name)),
        **dict(abstention_figures(table, name, None)),
    )


def changed(measurement: Measurement, artifact: str, **figures: object) -> Measurement:
    """The same measurement with other figures of one artifact."""
    row = measurement.artifacts[artifact].model_copy(update=figures)
    return measurement.model_copy(update={"artifacts": {**measurement.artifacts, artifact: row}})


def without(measurement: Measurement, artifact: str) -> Measurement:
    """The same measurement without one artifact."""
    rows = {name: row for name, row in measurement.artifacts.items() if name != artifact}
    return measurement.model_copy(update={"artifacts": rows})

"""A small measurement in which every part is filled in."""

from __future__ import annotations

from benchmarks.evaluation.measurement import (
    ArmLab,
    ArtifactFigures,
    CameraBasis,
    CheckpointFigures,
    DistortionFigures,
    EqualisedOdds,
    Estimate,
    ExpectedCost,
    Measurement,
    SelfieSet,
    SliceFigures,
)

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

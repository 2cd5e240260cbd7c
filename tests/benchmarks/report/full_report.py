"""A report of which no figure is missing, from written records: nothing is measured, converted or drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.evaluation.conditions import SECTIONS, Conditions
from benchmarks.evaluation.measurement import Measurement
from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from benchmarks.report.experiments.results import ExperimentResults, read_experiment_results
from benchmarks.report.inputs import Gallery, ReportInput
from benchmarks.report.stage_metrics import STAGES, CurationMetrics, StageMetrics
from pipeline.data.records import Check, Image, Verdict
from tests.benchmarks.evaluation.measurements import NINETY, full_measurement
from tests.benchmarks.report.timings import timings_of

CONDITIONS = Conditions(policy="helmet", policy_hash="a", weights="b", params=dict.fromkeys(SECTIONS, "c"))
CAMERA = {
    "camera_accuracy": NINETY,
    "camera_drop": 0.01,
    "mean_corruption_error": 1.1,
    "mean_corruption_error_all_severities": 1.2,
}


def whole_measurement() -> Measurement:
    """A measurement without a gap."""
    plain = full_measurement()
    distorted = plain.camera["jpeg"][1].model_copy(update={"checkpoint_accuracy": 0.9})
    return plain.model_copy(
        update={
            "checkpoint": plain.checkpoint.model_copy(update={**CAMERA, "parameters": 10}),
            "selfies": plain.selfies.model_copy(update={"source": "rendered"}),
            "camera": {"jpeg": dict.fromkeys(range(1, 6), distorted)},
            "unmeasured": {},
        }
    )


def whole_report(root: Path) -> ReportInput:
    """All outputs of a chain, with the committed results of benchmarks, as if they were of the same conditions.

    Args:
        root: The repository.
    """
    measurement = whole_measurement()
    checks = [
        Check(name="accuracy", artifact=name, value=0.9, limit=0.8, verdict="pass", reason="fine")
        for name in measurement.artifacts
    ]
    return ReportInput(
        policy="helmet",
        question="Does the rider wear a helmet?",
        measurement=measurement,
        timings=timings_of(measurement.artifacts),
        stages=StageMetrics(
            results={name: {"count": 1} for name in STAGES},
            machine={name: {"seconds": 1.0} for name in STAGES},
            curation=CurationMetrics(kept=40, rejection_rate=0.1),
        ),
        verdict=Verdict(verdict="pass", baseline="v1", checks=tuple(checks)),
        training_curve=[{"epoch": str(epoch), "train_loss": "1", "val_accuracy": "0.5"} for epoch in range(3)],
        training=Gallery(Path(), [Image.model_construct(id="a")]),
        predictions=_predictions(measurement),
        experiments=_same_conditions(read_experiment_results(root / "benchmarks/results")),
        conditions=CONDITIONS,
    )


def _same_conditions(results: ExperimentResults) -> ExperimentResults:
    kinds = {kind.BENCHMARK: result for kind, result in results._by_kind().items() if result}
    return replace(
        results, **{name: result.model_copy(update={"conditions": CONDITIONS}) for name, result in kinds.items()}
    )


def _predictions(measurement: Measurement) -> Predictions:
    targets = np.arange(40) % 2
    positive = np.where(targets == 1, 0.9, 0.2)
    columns = (CHECKPOINT, *measurement.artifacts)
    return Predictions(
        ids=tuple(f"selfie-{number}" for number in range(40)),
        sha256=tuple(f"{number:064x}" for number in range(40)),
        targets=targets.astype(np.int64),
        labels=measurement.labels,
        thresholds=dict.fromkeys(columns, 0.5),
        probabilities=dict.fromkeys(columns, np.stack([1 - positive, positive], axis=1).astype(np.float32)),
    )

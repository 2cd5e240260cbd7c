"""Accuracy under corruptions: decisions on corrupted selfies -> the figures of metrics/measure.json.

Pure. A corruption is a distortion at one severity, an integration error, or ``CLEAN``.

``mean_corruption_error`` follows Hendrycks & Dietterich (arXiv 1903.12261): the error under each distortion divided by
a reference error, averaged over distortions. Their reference is AlexNet's error under the same distortion. No such
network exists for a policy of one's own, so the reference is the checkpoint's error on the same undistorted selfies: 1
means that distortions do no harm, 2 that they double the error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.evaluation.estimates import Estimate, Number
from benchmarks.evaluation.measurement import CameraBasis, CameraFigures, DistortionFigures
from benchmarks.robustness.distortions import DISTORTIONS, INTEGRATION_ERRORS
from pipeline.metrics import statistics

Ints = NDArray[np.int64]


class Corruption(NamedTuple):
    """A distortion or integration error (by its name) at a severity; ``CLEAN`` is the undistorted selfie."""

    name: str
    severity: int


CLEAN = Corruption("", 0)


class CheckpointCameraFigures(CameraFigures):
    """The checkpoint's, on the artifacts' selfies; its corruption error also over all severities and all selfies."""

    mean_corruption_error_all_severities: Number | None = None


@dataclass(frozen=True, slots=True)
class Decisions:
    """Decided labels under every corruption.

    Attributes:
        targets: True labels as indices, int64 (n,).
        checkpoint: Corruption -> decided label indices, int64 (n,).
        artifacts: Artifact -> corruption -> decided label indices on the first ``artifact_selfies``, int64.
        artifact_selfies: Number of selfies that artifacts were run on.
        severity: Severity of the distortions that artifacts were run under.
        confidence: Two-sided level of intervals in (0, 1).
    """

    targets: Ints
    checkpoint: Mapping[Corruption, Ints]
    artifacts: Mapping[str, Mapping[Corruption, Ints]]
    artifact_selfies: int
    severity: int
    confidence: float

    def accuracy(self, decided: Ints) -> float:
        """Accuracy of ``decisions`` on the first ``len(decisions)`` selfies."""
        return float(np.mean(decided == self.targets[: len(decided)]))

    def checkpoint_on_artifact_selfies(self, corruption: Corruption) -> Ints:
        """The checkpoint's decisions on the selfies that artifacts were run on."""
        return self.checkpoint[corruption][: self.artifact_selfies]


def all_corruptions() -> list[Corruption]:
    """What the checkpoint is run under: clean selfies, each distortion at each severity, each integration error."""
    distorted = [Corruption(name, k) for name, kind in DISTORTIONS.items() for k in range(1, len(kind.levels) + 1)]
    return [CLEAN, *distorted, *(Corruption(name, 1) for name in INTEGRATION_ERRORS)]


def distortions_at(severity: int) -> list[Corruption]:
    """Each distortion at this severity, or at the highest that it has."""
    return [Corruption(name, kind.nearest_severity(severity)) for name, kind in DISTORTIONS.items()]


def camera_accuracies(decisions: Decisions) -> dict[str, dict[int, DistortionFigures]]:
    """Distortion -> severity -> accuracy."""
    at_artifacts_severity = set(distortions_at(decisions.severity)) if decisions.artifact_selfies else set()
    rows: dict[str, dict[int, DistortionFigures]] = {name: {} for name in DISTORTIONS}
    for corruption in decisions.checkpoint:
        if corruption.name in DISTORTIONS:
            row = _accuracy(decisions, corruption, with_artifacts=corruption in at_artifacts_severity)
            rows[corruption.name][corruption.severity] = row
    return rows


def integration_error_accuracies(decisions: Decisions) -> dict[str, DistortionFigures]:
    """Integration error -> accuracy, also of the artifacts that were run under it."""
    return {
        corruption.name: _accuracy(decisions, corruption, with_artifacts=bool(decisions.artifact_selfies))
        for corruption in decisions.checkpoint
        if corruption.name in INTEGRATION_ERRORS
    }


def camera_basis(decisions: Decisions, seed: int, example: str) -> CameraBasis:
    """Number of selfies, and the checkpoint's accuracy on them: undistorted, and as a mean over the distortions."""
    clean = _accuracy(decisions, CLEAN, with_artifacts=False)
    distorted = [
        decisions.accuracy(decisions.checkpoint[corruption]) for corruption in distortions_at(decisions.severity)
    ]
    return CameraBasis(
        selfies=clean.count,
        artifact_selfies=decisions.artifact_selfies,
        severity=decisions.severity,
        mean_accuracy=float(np.mean(distorted)),
        clean_accuracy=clean.accuracy,
        seed=seed,
        example=example,
    )


def artifact_figures(decisions: Decisions) -> dict[str, CameraFigures]:
    """Artifact -> its means over the distortions."""
    return {name: _means(decisions, decided) for name, decided in decisions.artifacts.items()}


def checkpoint_figures(decisions: Decisions) -> CheckpointCameraFigures:
    """The checkpoint's means over the distortions."""
    by_distortion = [
        np.mean([decisions.accuracy(decisions.checkpoint[Corruption(name, k)]) for k in range(1, len(kind.levels) + 1)])
        for name, kind in DISTORTIONS.items()
    ]
    clean = decisions.accuracy(decisions.checkpoint[CLEAN])
    own = {corruption: decisions.checkpoint_on_artifact_selfies(corruption) for corruption in decisions.checkpoint}
    means = _means(decisions, own) if decisions.artifact_selfies else CameraFigures()
    return CheckpointCameraFigures(
        **dict(means), mean_corruption_error_all_severities=_divide(1 - float(np.mean(by_distortion)), 1 - clean)
    )


def _accuracy(decisions: Decisions, corruption: Corruption, *, with_artifacts: bool) -> DistortionFigures:
    decided = decisions.checkpoint[corruption]
    right = int(np.sum(decided == decisions.targets))
    low, high = statistics.wilson_interval(right, len(decided), decisions.confidence)
    accuracy = Estimate(value=right / len(decided), low=low, high=high)
    if not with_artifacts:
        return DistortionFigures(count=len(decided), accuracy=accuracy)
    return DistortionFigures(
        count=len(decided),
        accuracy=accuracy,
        artifact_selfies=decisions.artifact_selfies,
        checkpoint_accuracy=decisions.accuracy(decisions.checkpoint_on_artifact_selfies(corruption)),
        artifacts={
            name: decisions.accuracy(own[corruption]) for name, own in decisions.artifacts.items() if corruption in own
        },
    )


def _means(decisions: Decisions, decided: Mapping[Corruption, Ints]) -> CameraFigures:
    """Figures of decisions on the artifacts' selfies."""
    corruptions = distortions_at(decisions.severity)
    targets = decisions.targets[: decisions.artifact_selfies]
    right = np.stack([decided[corruption] == targets for corruption in corruptions], axis=1)
    mean = float(right.mean())
    equal = [
        np.mean(decided[corruption] == decisions.checkpoint_on_artifact_selfies(corruption))
        for corruption in corruptions
    ]
    reference = decisions.accuracy(decisions.checkpoint_on_artifact_selfies(CLEAN))
    return CameraFigures(
        camera_accuracy=_estimate(mean, right.mean(axis=1), decisions.confidence),
        camera_drop=decisions.accuracy(decided[CLEAN]) - mean,
        camera_agreement=float(np.mean(equal)),
        mean_corruption_error=_divide(1 - mean, 1 - reference),
    )


def _estimate(mean: float, shares: NDArray[np.float64], confidence: float) -> Estimate | None:
    """A mean of one share per selfie with its normal interval: the pictures made of one selfie are not independent.

    None for a single selfie, which has no interval.
    """
    if len(shares) < 2:
        return None
    half = float(stats.norm.ppf(0.5 + confidence / 2) * np.std(shares, ddof=1)) / math.sqrt(len(shares))
    centre = float(np.mean(shares))
    return Estimate(value=mean, low=max(0.0, centre - half), high=min(1.0, centre + half))


def _divide(error: float, reference: float) -> float | None:
    return error / reference if reference > 0 else None

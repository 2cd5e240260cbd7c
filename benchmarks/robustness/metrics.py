"""Pure: decisions on distorted selfies -> the figures of metrics/measure.json: ``camera``, ``mistakes``, and columns.

``mean_corruption_error`` follows Hendrycks & Dietterich (arXiv 1903.12261): the error of each distortion over a
reference error, averaged over distortions. Their reference is AlexNet's error on the same distortion; a policy of one's
own has no AlexNet, so it is the checkpoint's error on the same selfies undistorted: 1 is no harm, 2 twice the mistakes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.evaluation.accuracy import Figures
from benchmarks.robustness.distortions import DISTORTIONS, MISTAKES
from pipeline.metrics import statistics

FIGURES = (
    "camera_accuracy",
    "camera_accuracy_low",
    "camera_accuracy_high",
    "camera_drop",
    "camera_agreement",
    "mean_corruption_error",
)
Ints = NDArray[np.int64]


class Look(NamedTuple):
    """A distortion or mistake at a severity; ``CLEAN`` is neither."""

    name: str
    severity: int


CLEAN = Look("", 0)


@dataclass(frozen=True, slots=True)
class Decisions:
    """What was decided on each look at the selfies.

    Attributes:
        targets: True labels as indices, int64 (n,).
        checkpoint: Look -> decided label indices, int64 (n,).
        artifacts: Name -> look -> decided label indices of the first ``few`` selfies, int64 (few,).
        few: So many selfies were shown to artifacts.
        severity: Of the distortions that were.
        confidence: Two-sided level of intervals in (0, 1).
    """

    targets: Ints
    checkpoint: Mapping[Look, Ints]
    artifacts: Mapping[str, Mapping[Look, Ints]]
    few: int
    severity: int
    confidence: float

    def accuracy(self, decided: Ints) -> float:
        """Share that is right, of the first as many selfies as there are decisions."""
        return float(np.mean(decided == self.targets[: len(decided)]))


def every_look() -> list[Look]:
    """What the checkpoint is asked: undistorted selfies, every distortion at every severity, every mistake."""
    shaken = [Look(name, k) for name, kind in DISTORTIONS.items() for k in range(1, len(kind.values) + 1)]
    return [CLEAN, *shaken, *map(Look, MISTAKES, [1] * len(MISTAKES))]


def looks_at(severity: int) -> list[Look]:
    """Every distortion at this severity, or at the highest it has."""
    return [Look(name, kind.severity(severity)) for name, kind in DISTORTIONS.items()]


def nothing() -> Figures:
    """The figures of a column that was not measured."""
    return dict.fromkeys(FIGURES)


def camera(found: Decisions) -> Figures:
    """Distortion -> severity -> the checkpoint's rate; at the artifacts' severity also theirs, on what they saw."""
    figures: Figures = {name: {} for name in DISTORTIONS}
    shown = set(looks_at(found.severity)) if found.few else set()
    for look, decided in found.checkpoint.items():
        if look.name in DISTORTIONS:
            figures[look.name][str(look.severity)] = _rate(found, decided) | (
                _beside(found, look) if look in shown else {}
            )
    return figures


def mistakes(found: Decisions) -> Figures:
    """Mistake -> the checkpoint's rate, and the accuracy of the artifacts that were asked."""
    return {
        look.name: _rate(found, decided) | {"artifacts": _accuracies(found, look)}
        for look, decided in found.checkpoint.items()
        if look.name in MISTAKES
    }


def basis(found: Decisions) -> Figures:
    """On how many selfies all this stands, how they fare undistorted, and on the mean over the distortions."""
    clean = _rate(found, found.checkpoint[CLEAN])
    shaken = [found.accuracy(found.checkpoint[look]) for look in looks_at(found.severity)]
    return {
        "selfies": clean["count"],
        "artifact_selfies": found.few,
        "severity": found.severity,
        "mean_accuracy": float(np.mean(shaken)),
        **{f"clean_{name}": clean[name] for name in ("accuracy", "accuracy_low", "accuracy_high")},
    }


def columns(found: Decisions) -> dict[str, Figures]:
    """Artifact -> its mean over the distortions at the artifacts' severity."""
    return {name: _column(found, decided) for name, decided in found.artifacts.items()}


def checkpoint(found: Decisions) -> Figures:
    """The same of the checkpoint, on the selfies that artifacts saw; and over all severities, on all selfies."""
    by_kind = [
        np.mean([found.accuracy(found.checkpoint[Look(name, k)]) for k in range(1, len(kind.values) + 1)])
        for name, kind in DISTORTIONS.items()
    ]
    clean = found.accuracy(found.checkpoint[CLEAN])
    same = _column(found, _first(found)) if found.few else nothing()
    return same | {"mean_corruption_error_all_severities": _over(1 - float(np.mean(by_kind)), 1 - clean)}


def _first(found: Decisions) -> Mapping[Look, Ints]:
    return {look: decided[: found.few] for look, decided in found.checkpoint.items()}


def _rate(found: Decisions, decided: Ints) -> Figures:
    right = int(np.sum(decided == found.targets))
    low, high = statistics.wilson_interval(right, len(decided), found.confidence)
    return {"count": len(decided), "accuracy": right / len(decided), "accuracy_low": low, "accuracy_high": high}


def _beside(found: Decisions, look: Look) -> Figures:
    return {
        "artifacts_count": found.few,
        "checkpoint_of_same": found.accuracy(_first(found)[look]),
        "artifacts": _accuracies(found, look),
    }


def _accuracies(found: Decisions, look: Look) -> dict[str, float]:
    return {name: found.accuracy(seen[look]) for name, seen in found.artifacts.items() if look in seen}


def _column(found: Decisions, decided: Mapping[Look, Ints]) -> Figures:
    own, looks = _first(found), looks_at(found.severity)
    right = np.stack([decided[look] == found.targets[: found.few] for look in looks], axis=1)
    mean = float(right.mean())
    low, high = _interval(right.mean(axis=1), found.confidence)
    values = (
        mean,
        low,
        high,
        found.accuracy(decided[CLEAN]) - mean,
        float(np.mean([np.mean(decided[look] == own[look]) for look in looks])),
        _over(1 - mean, 1 - found.accuracy(own[CLEAN])),
    )
    return dict(zip(FIGURES, values, strict=True))


def _interval(shares: Sequence[float] | NDArray[np.float64], confidence: float) -> tuple[float | None, float | None]:
    """Normal interval of a mean of shares, one a selfie: pictures of one selfie are right or wrong together."""
    if len(shares) < 2:
        return None, None
    half = float(stats.norm.ppf(0.5 + confidence / 2) * np.std(shares, ddof=1)) / math.sqrt(len(shares))
    mean = float(np.mean(shares))
    return max(0.0, mean - half), min(1.0, mean + half)


def _over(error: float, reference: float) -> float | None:
    return error / reference if reference > 0 else None

"""Does an artifact say what its checkpoint says? Pure: the same pixels through both, and how far apart they are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.formats import Predict
from pipeline.errors import DataError
from pipeline.metrics import decide
from pipeline.preprocess import Pixels


@dataclass(frozen=True, slots=True)
class Parity:
    """How an artifact compares with its checkpoint.

    Attributes:
        images: Compared.
        agreement: Share of equal decisions, 0..1.
        max_abs_probability_diff: Largest difference of any label's probability, 0..1.
    """

    images: int
    agreement: float
    max_abs_probability_diff: float


def run_artifact(predict: Predict, frames: Iterable[Pixels]) -> NDArray[np.float32]:
    """Classify frames, uint8 (height, width, 3) RGB each, one after the other: float32 (n, labels).

    Raises:
        DataError: There is no frame.
    """
    rows = [predict(frame) for frame in frames]
    if not rows:
        raise DataError("no frame to compare on; expected at least one validation row; run dvc repro split")
    return np.stack(rows)


def compare(reference: NDArray[np.float32], artifact: NDArray[np.float32], threshold: float = 0.5) -> Parity:
    """Compare probabilities of the same frames in the same order, each (n, labels); NaN never agrees."""
    if reference.shape != artifact.shape:
        raise DataError(f"probabilities {artifact.shape}; expected {reference.shape}, as the checkpoint gives")
    finite = np.isfinite(artifact).all(axis=1)
    equal = finite & (decide(reference, threshold) == decide(artifact, threshold))
    difference = np.where(np.isfinite(artifact), np.abs(reference - artifact), 1.0)
    return Parity(len(reference), float(equal.mean()), float(difference.max()))

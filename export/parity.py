"""Does an artifact say what its checkpoint says? Pure: the same pixels through both, and how far apart they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.data.preprocess import Pixels
from pipeline.errors import DataError

Predict = Callable[[Pixels], NDArray[np.float32]]
"""An open artifact: uint8 (height, width, 3) RGB -> float32 (labels,) probabilities."""
Trace = Callable[[Pixels], Iterable[tuple[str, NDArray[np.float32]]]]
"""An open artifact that shows its insides: the same frame -> every float tensor by name, in execution order."""
_CERTAIN = 1e-3


@dataclass(frozen=True, slots=True)
class Parity:
    """How an artifact compares with its checkpoint.

    Attributes:
        images: Compared.
        agreement: Share of equal decisions, 0..1.
        max_abs_probability_diff: Largest difference of any label's probability, 0..1.
        log_odds_error: Root mean square of the difference in log-odds. It tells near from nearer where decisions are
            too few to differ, and does not depend on how many frames lie at the threshold.
    """

    images: int
    agreement: float
    max_abs_probability_diff: float
    log_odds_error: float


@dataclass(frozen=True, slots=True)
class Judge:
    """What a model is held against.

    Attributes:
        frames: Validation frames, uint8 (n, height, width, 3) RGB.
        answers: What the checkpoint says of them, float32 (n, labels).
        threshold: Of the decision.
        targets: True label indices, int64 (n,).
    """

    frames: NDArray[np.uint8]
    answers: NDArray[np.float32]
    threshold: float
    targets: NDArray[np.int64]

    def hear(self, predict: Predict, count: int | None = None) -> Parity:
        """Compare the answers to the first ``count`` frames."""
        answers = run_artifact(predict, self.frames[:count])
        return compare(self.answers[:count], answers, self.threshold)


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
    from pipeline.metrics.classification import decide

    finite = np.isfinite(artifact).all(axis=1)
    equal = finite & (decide(reference, threshold) == decide(artifact, threshold))
    difference = np.where(np.isfinite(artifact), np.abs(reference - artifact), 1.0)
    return Parity(len(reference), float(equal.mean()), float(difference.max()), _log_odds_error(reference, artifact))


def _log_odds_error(reference: NDArray[np.float32], artifact: NDArray[np.float32]) -> float:
    """Root mean square over frames and labels; what is all but certain is as good as certain."""
    ends = (_CERTAIN, 1 - _CERTAIN)
    mine, theirs = (np.clip(np.nan_to_num(each, nan=0.0).astype(np.float64), *ends) for each in (artifact, reference))
    difference = np.log(mine / (1 - mine)) - np.log(theirs / (1 - theirs))
    return float(np.sqrt(np.mean(np.square(difference))))

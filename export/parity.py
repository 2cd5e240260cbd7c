"""Parity: how near an artifact's predictions are to the checkpoint's on the same pixels.

Reads and writes nothing: frames and probabilities in, figures out. Every format is compared by this one measure, both
while its 8 bits are searched (``export.quantisation``) and after the artifact has been loaded again (``convert``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pipeline.data.preprocess import Pixels
from pipeline.errors import DataError

Predict = Callable[[Pixels], NDArray[np.float32]]
"""An open model: one frame, uint8 (height, width, 3) RGB -> probabilities, float32 (labels,)."""
PredictFrames = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""An open model that may take many frames at once: uint8 (n, height, width, 3) RGB -> probabilities, float32
(n, labels)."""
Trace = Callable[[Pixels], Iterable[tuple[str, NDArray[np.float32]]]]
"""An open model that yields its intermediate results: a frame as above -> (name, value) of each float tensor, in
execution order."""
_CERTAIN = 1e-3
"""Probabilities are clipped this far from 0 and 1 before log-odds are taken."""


@dataclass(frozen=True, slots=True)
class Parity:
    """Difference between the predictions of an artifact and those of the checkpoint.

    Attributes:
        images: Number of frames compared.
        agreement: Share of equal decisions, 0..1.
        max_abs_probability_diff: Largest difference of any label's probability, 0..1.
        log_odds_error: Root mean square of the difference in log-odds. Unlike ``agreement`` it ranks artifacts that
            decide alike on all frames, and does not depend on how many frames are near the threshold.
    """

    images: int
    agreement: float
    max_abs_probability_diff: float
    log_odds_error: float


@dataclass(frozen=True, slots=True)
class ReferencePredictions:
    """Predictions of the checkpoint on validation frames, which artifacts are compared with.

    Attributes:
        frames: Frames, uint8 (n, height, width, 3) RGB.
        probabilities: The checkpoint's probabilities, float32 (n, labels).
        threshold: Threshold of the checkpoint's decision, 0..1.
        targets: True label indices, int64 (n,).
    """

    frames: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    threshold: float
    targets: NDArray[np.int64]

    def parity_of(self, predict: PredictFrames, count: int | None = None) -> Parity:
        """Run a model on the first ``count`` frames (None: on all) and compare."""
        return compare(self.probabilities[:count], predict(self.frames[:count]), self.threshold)


def run_artifact(predict: Predict, frames: Iterable[Pixels]) -> NDArray[np.float32]:
    """Run a model on frames, uint8 (height, width, 3) RGB each, one by one.

    Returns:
        Probabilities, float32 (n, labels), in the order of the frames.

    Raises:
        DataError: There are no frames.
    """
    rows = [predict(frame) for frame in frames]
    if not rows:
        raise DataError("no frame to compare on; expected at least one validation row; run dvc repro split")
    return np.stack(rows)


def one_by_one(predict: Predict) -> PredictFrames:
    """Let a model that takes one frame predict many (``run_artifact``)."""
    return partial(run_artifact, predict)


def compare(reference: NDArray[np.float32], artifact: NDArray[np.float32], threshold: float = 0.5) -> Parity:
    """Compare probabilities of the same frames in the same order.

    Args:
        reference: The checkpoint's, float32 (n, labels).
        artifact: The artifact's, float32 (n, labels); a row with NaN or infinity counts as a different decision.
        threshold: Threshold of both decisions.

    Raises:
        DataError: The shapes differ.
    """
    if reference.shape != artifact.shape:
        raise DataError(f"probabilities {artifact.shape}; expected {reference.shape}, as the checkpoint gives")
    # Here, because it loads SciPy: processes that only run an artifact do without, and their memory is measured.
    from pipeline.metrics.classification import decide

    finite = np.isfinite(artifact).all(axis=1)
    equal = finite & (decide(reference, threshold) == decide(artifact, threshold))
    difference = np.where(np.isfinite(artifact), np.abs(reference - artifact), 1.0)
    return Parity(len(reference), float(equal.mean()), float(difference.max()), _log_odds_error(reference, artifact))


def _log_odds_error(reference: NDArray[np.float32], artifact: NDArray[np.float32]) -> float:
    """Root mean square over frames and labels of the difference in log-odds; NaN counts as probability 0."""
    ends = (_CERTAIN, 1 - _CERTAIN)
    mine, theirs = (np.clip(np.nan_to_num(each, nan=0.0).astype(np.float64), *ends) for each in (artifact, reference))
    difference = np.log(mine / (1 - mine)) - np.log(theirs / (1 - theirs))
    return float(np.sqrt(np.mean(np.square(difference))))

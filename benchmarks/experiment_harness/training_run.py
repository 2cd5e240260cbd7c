"""Trains a classifier on given rows and tests it on selfies, for experiments that compare training sets.

Reads rows, images and selfies; leaves a checkpoint and predictions.parquet in the run's folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation.estimates import Estimate
from benchmarks.evaluation.inference import (
    EvaluationSet,
    check_evaluation_set,
    local_runtimes,
    read_reference,
    run_inference,
)
from benchmarks.evaluation.predictions import CHECKPOINT as CHECKPOINT_COLUMN
from benchmarks.evaluation.predictions import read_predictions, write_predictions
from benchmarks.experiment_harness.course import CHECKPOINT, StageFolder
from benchmarks.experiment_harness.workspace import Step
from pipeline.data.shards import read_index
from pipeline.metrics.statistics import paired_difference_interval, wilson_interval

PREDICTIONS = Path("predictions.parquet")
THRESHOLD = 0.5
FULL_TRAINING: Mapping[str, object] = {
    "method": "full",
    "pretrained": "none",
    "padding": "symmetric",
    "epochs": 20,
    "augment": 0.5,
    "decision": "costs",
}
"""Values of the train section for a training of all weights from random ones, whatever the default method is."""
Correct = NDArray[np.bool_]
"""Whether each selfie was decided correctly, bool (n,)."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a classifier is trained and tested on.

    Attributes:
        rows: Training rows, validation rows.
        images: Folder of the shards.
        selfies: Folder of the test selfies.
        needs: Names of the steps that write rows, images and selfies.
    """

    rows: tuple[Path, Path]
    images: Path
    selfies: Path
    needs: tuple[str, ...]


def train_and_test(folder: StageFolder, data: TrainingData) -> Iterator[Step]:
    """Train with the folder's params, and write predictions.parquet."""
    train = folder.train(data.rows, data.images, data.needs)
    yield train
    yield folder.step("test", "measure", partial(_predict, folder.path, data.selfies), (PREDICTIONS,), (train.name,))


def read_correct(folder: Path) -> Correct:
    """Read which selfies the classifier trained in a folder decided correctly."""
    table = read_predictions(folder / PREDICTIONS)
    return np.asarray(table.decisions(CHECKPOINT_COLUMN) == table.targets, np.bool_)


def accuracies(correct: Sequence[Correct]) -> tuple[float, ...]:
    """Accuracy of each of several trainings."""
    return tuple(float(np.mean(values)) for values in correct)


def mean_accuracy(correct: Sequence[Correct]) -> Estimate:
    """Mean accuracy of several trainings with other seeds.

    The interval is that of the selfies (Wilson, 95 %) at the mean accuracy. More trainings are tested on the same
    selfies, so they do not narrow it; ``accuracies`` shows how much trainings differ.
    """
    mean, count = fmean(accuracies(correct)), len(correct[0])
    low, high = wilson_interval(mean * count, count)
    return Estimate(value=mean, low=low, high=high)


def mean_gain(reference: Sequence[Correct], other: Sequence[Correct]) -> Estimate:
    """Accuracy gained over a reference, in points, with the paired 95 % interval: means over pairs of equal seeds."""
    pairs = list(zip(reference, other, strict=True))
    bounds = [paired_difference_interval(before, after) for before, after in pairs]
    return Estimate(
        value=100 * fmean(float(after.mean()) - float(before.mean()) for before, after in pairs),
        low=100 * fmean(low for low, _ in bounds),
        high=100 * fmean(high for _, high in bounds),
    )


def _predict(folder: Path, selfies: Path) -> None:
    """Write the checkpoint's predictions at a fixed threshold, so that a policy's costs do not matter."""
    reference = replace(read_reference(folder / CHECKPOINT), threshold=THRESHOLD)
    evaluation_set = EvaluationSet(reference, (), selfies, read_index(selfies))
    check_evaluation_set(evaluation_set)
    table, _ = run_inference(evaluation_set, local_runtimes(), threads=1)
    write_predictions(folder / PREDICTIONS, table)

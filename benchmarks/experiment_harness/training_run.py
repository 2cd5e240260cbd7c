"""Steps that train a classifier on given rows and let it answer selfies, for benchmarks that compare ways to train.

Reads rows, images and selfies; leaves a checkpoint and predictions.parquet in the trial's folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation.inference import (
    EvaluationSet,
    check_evaluation_set,
    local_runtimes,
    read_reference,
    run_inference,
)
from benchmarks.evaluation.predictions import CHECKPOINT, read_predictions, write_predictions
from benchmarks.experiment_harness.workspace import Step, gossamer
from pipeline.data.shards import read_index
from pipeline.metrics.statistics import paired_difference_interval, wilson_interval

PREDICTIONS = "predictions.parquet"
EVEN_ODDS = 0.5
Right = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Trial:
    """One training.

    Attributes:
        name: Unique in the plan.
        folder: Open for commands; its params say how to train.
        rows: Training rows, then validation rows.
        images: Folder of the shards.
        selfies: Folder of what is answered.
        policy: The policy's file, as commands are told it.
        before: Names of the steps that make rows, images and selfies.
    """

    name: str
    folder: Path
    rows: tuple[Path, Path]
    images: Path
    selfies: Path
    policy: str
    before: tuple[str, ...]


def train_and_judge(trial: Trial) -> Iterator[Step]:
    """The two steps of a trial."""
    folder = trial.folder
    outs = (Path("models/checkpoint"), Path("metrics/train.json"), Path("plots/train.csv"))
    act = partial(gossamer, folder, "train", *trial.rows, trial.images, trial.policy, *outs)
    made = tuple(folder / out for out in outs)
    yield Step(f"{trial.name}/train", "train", folder, act, made, trial.before)
    judge = partial(_judge, folder, trial.selfies)
    yield Step(f"{trial.name}/judge", "measure", folder, judge, (folder / PREDICTIONS,), (f"{trial.name}/train",))


def read_right(folder: Path) -> Right:
    """Which selfies a trial's classifier answered rightly: bool (n,)."""
    table = read_predictions(folder / PREDICTIONS)
    return np.asarray(table.decisions(CHECKPOINT) == table.targets, np.bool_)


def accuracy_figures(right: Sequence[Right]) -> dict[str, Any]:
    """Accuracy of one way to train: the mean over its seeds.

    The interval is that of the selfies (Wilson, 95 %) at the mean: more seeds ask the same selfies again, so they do
    not narrow it. How far seeds differ is seen in ``accuracies``.
    """
    accuracies = [float(np.mean(each)) for each in right]
    mean, count = fmean(accuracies), len(right[0])
    low, high = wilson_interval(mean * count, count)
    return {"accuracy": mean, "accuracy_low": low, "accuracy_high": high, "accuracies": accuracies}


def gain_figures(first: Sequence[Right], second: Sequence[Right], name: str = "gain") -> dict[str, float]:
    """How many points the second way is better than the first, with the paired 95 % interval; seeds' means."""
    pairs = list(zip(first, second, strict=True))
    bounds = [paired_difference_interval(one, other) for one, other in pairs]
    return {
        f"{name}_points": 100 * fmean(float(other.mean()) - float(one.mean()) for one, other in pairs),
        f"{name}_points_low": 100 * fmean(low for low, _ in bounds),
        f"{name}_points_high": 100 * fmean(high for _, high in bounds),
    }


def _judge(folder: Path, selfies: Path) -> None:
    """Write the checkpoint's answers on the selfies, at even odds: a policy's costs are no matter of how to train."""
    reference = replace(read_reference(folder / "models/checkpoint"), threshold=EVEN_ODDS)
    evaluation_set = EvaluationSet(reference, (), selfies, read_index(selfies))
    check_evaluation_set(evaluation_set)
    table, _ = run_inference(evaluation_set, local_runtimes(), threads=1)
    write_predictions(folder / PREDICTIONS, table)

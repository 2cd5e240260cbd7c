"""Accuracy of classifiers that learn from the same images, selected and labelled in four ways.

- everything: all images;
- curated: the images that ``gossamer curate`` kept;
- random: the same number of images, drawn at random;
- oracle: all images, with the labels that a judge predicts.

Reads a folder of images whose labels may be wrong; leaves rows, checkpoints and predictions in the work area.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.evaluation.estimates import Estimate
from benchmarks.experiment_harness.course import IMAGES, KEPT, ROWS, StageFolder
from benchmarks.experiment_harness.results import ResultRecord
from benchmarks.experiment_harness.training_run import (
    TrainingData,
    accuracies,
    mean_accuracy,
    mean_gain,
    read_correct,
    train_and_test,
)
from benchmarks.experiment_harness.workspace import Step
from pipeline.data.records import Image
from pipeline.data.shards import INDEX, read_index
from pipeline.data.storage import read_rows, write_rows

ARMS = ("everything", "curated", "random", "oracle")


@dataclass(frozen=True, slots=True)
class DownstreamConfig:
    """The images and labels to learn from, and where the arms work.

    Attributes:
        name: Unique in the experiment; names of its folders begin with it.
        source: Folder of the images.
        relabel: Selects images, and plants wrong labels.
        oracle: (folder of images, images with possibly wrong labels) -> images with the judge's labels.
        selfies: Folder of the test selfies.
        seeds: Seeds of the trainings.
        open: (name, seed of the training or None) -> folder.
        needs: Names of the steps that write images and selfies.
        inputs: What ``relabel`` depends on.
    """

    name: str
    source: Path
    relabel: Callable[[Sequence[Image]], list[Image]]
    oracle: Callable[[Path, Sequence[Image]], list[Image]]
    selfies: Path
    seeds: Sequence[int]
    open: Callable[[str, int | None], StageFolder]
    needs: tuple[str, ...]
    inputs: Mapping[str, object]

    def folder(self, arm: str = "", seed: int | None = None) -> StageFolder:
        """Folder of the relabelled images, of an arm, or of one of its trainings."""
        parts = [self.name, *([arm] if arm else []), *([] if seed is None else [f"seed-{seed}"])]
        return self.open("-".join(parts), seed)


class ArmResult(ResultRecord):
    """One arm.

    Attributes:
        arm: Its name.
        images: Number of images it learns from, before the split.
        accuracy: Mean accuracy over the trainings.
        accuracies: Accuracy of each training.
        gain_points: Points gained over ``everything``; left out for ``everything`` itself.
    """

    arm: str
    images: int
    accuracy: Estimate
    accuracies: tuple[float, ...]
    gain_points: Estimate | None = None


def plan(config: DownstreamConfig) -> Iterator[Step]:
    """List all steps: relabelled images, their curation, and the trainings of each arm."""
    folder = config.folder()
    relabel = folder.step(
        "relabel", "curate", partial(_relabel, config), (IMAGES / INDEX,), config.needs, **config.inputs
    )
    yield relabel
    yield folder.curate(needs=(relabel.name,))
    for arm in ARMS:
        yield from _plan_arm(config, arm)


def read_result(config: DownstreamConfig) -> tuple[ArmResult, ...]:
    """Read the accuracies of all arms."""
    correct = {arm: [read_correct(config.folder(arm, seed).path) for seed in config.seeds] for arm in ARMS}
    results = []
    for arm in ARMS:
        result = ArmResult(
            arm=arm,
            images=len(read_rows(config.folder(arm).path / KEPT, Image)),
            accuracy=mean_accuracy(correct[arm]),
            accuracies=accuracies(correct[arm]),
        )
        gain = {} if arm == "everything" else {"gain_points": mean_gain(correct["everything"], correct[arm])}
        results.append(result.model_copy(update=gain))
    return tuple(results)


def choose_rows(arm: str, images: Sequence[Image], kept: Sequence[Image], seed: int) -> list[Image]:
    """Rows of an arm other than ``oracle``: all images, the kept ones, or as many at random in their order."""
    if arm == "random":
        rows = np.random.default_rng(seed).choice(len(images), len(kept), replace=False)
        return [images[row] for row in np.sort(rows)]
    return list(images if arm == "everything" else kept)


def _relabel(config: DownstreamConfig) -> None:
    """Write the index of the relabelled images beside links to their shards."""
    out = config.folder().path / IMAGES
    out.mkdir(parents=True, exist_ok=True)
    rows = config.relabel(read_index(config.source))
    for shard in {row.shard for row in rows}:
        link = out / shard
        if link.is_symlink():
            link.unlink()
        link.symlink_to((config.source / shard).resolve())
    write_rows(out / INDEX, rows)


def _plan_arm(config: DownstreamConfig, arm: str) -> Iterator[Step]:
    folder, images = config.folder(arm), config.folder().path / IMAGES
    choose = folder.step("choose", "curate", partial(_choose, config, arm), (KEPT,), (f"{config.name}/curate",))
    yield choose
    split = folder.split(needs=(choose.name,))
    yield split
    rows = folder.path / ROWS[0], folder.path / ROWS[1]
    for seed in config.seeds:
        data = TrainingData(rows, images, config.selfies, (split.name, *config.needs))
        yield from train_and_test(config.folder(arm, seed), data)


def _choose(config: DownstreamConfig, arm: str) -> None:
    folder = config.folder().path
    images, kept = read_index(folder / IMAGES), read_rows(folder / KEPT, Image)
    if arm == "oracle":
        rows = config.oracle(folder / IMAGES, images)
    else:
        rows = choose_rows(arm, images, kept, config.seeds[0])
    write_rows(config.folder(arm).path / KEPT, rows)

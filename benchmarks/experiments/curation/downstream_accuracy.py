"""Does curation pay? Classifiers that learn from the same images, chosen and labelled in four ways.

- everything: all images;
- curated: those that ``gossamer curate`` kept;
- random: as many, taken at random;
- oracle: all images, with the labels that a judge sees.

Reads a folder of images whose labels may be wrong; leaves rows, checkpoints and answers in the work area.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.experiment_harness.training_run import (
    Trial,
    accuracy_figures,
    gain_figures,
    read_right,
    train_and_judge,
)
from benchmarks.experiment_harness.workspace import Step, gossamer
from pipeline.data.records import Image
from pipeline.data.shards import INDEX, read_index
from pipeline.data.storage import read_rows, write_rows

ARMS = ("everything", "curated", "random", "oracle")
IMAGES = Path("data/images")
KEPT = Path("data/kept.jsonl")


@dataclass(frozen=True, slots=True)
class Ground:
    """Images with their labels as they are told, and where the arms work.

    Attributes:
        name: Unique in the plan.
        source: Folder of the images and their shards.
        relabel: Gives the images as they are told to be.
        oracle: Gives told images the labels that are true.
        selfies: Folder of what is answered.
        policy: The policy's file, as commands are told it.
        seeds: Of the trainings.
        open: Makes a folder to run commands in, by name and the seed of its training.
        before: Names of the steps that make images and selfies.
    """

    name: str
    source: Path
    relabel: Callable[[Sequence[Image]], list[Image]]
    oracle: Callable[[Path, Sequence[Image]], list[Image]]
    selfies: Path
    policy: str
    seeds: Sequence[int]
    open: Callable[[str, int | None], Path]
    before: tuple[str, ...]

    @property
    def images(self) -> Path:
        """Where the images lie as they are told to be."""
        return self.open(self.name, None) / IMAGES


def steps(ground: Ground) -> Iterator[Step]:
    """Everything from the images to the answers of every arm's classifiers."""
    told, folder = f"{ground.name}/tell", ground.open(ground.name, None)
    yield Step(told, "curate", folder, partial(_tell, ground), (ground.images / INDEX,), ground.before)
    outs = KEPT, Path("data/rejected.jsonl"), Path("metrics/curate.json"), Path("report/curation")
    act = partial(gossamer, folder, "curate", ground.images, ground.policy, *outs)
    yield Step(f"{ground.name}/curate", "curate", folder, act, tuple(folder / out for out in outs), (told,))
    for arm in ARMS:
        yield from _arm(ground, arm)


def figures(ground: Ground) -> list[dict[str, Any]]:
    """A row an arm: images, accuracy with its interval, and points gained over learning from everything."""
    right = {arm: [read_right(ground.open(_trial(ground, arm, seed), seed)) for seed in ground.seeds] for arm in ARMS}
    return [
        {
            "arm": arm,
            "images": len(read_rows(ground.open(f"{ground.name}-{arm}", None) / KEPT, Image)),
            **accuracy_figures(right[arm]),
            **(gain_figures(right["everything"], right[arm]) if arm != "everything" else {}),
        }
        for arm in ARMS
    ]


def choose_rows(arm: str, told: Sequence[Image], kept: Sequence[Image], seed: int) -> list[Image]:
    """Rows of an arm that needs no judge: everything, what curation kept, or as many at random in their order."""
    if arm == "random":
        rows = np.random.default_rng(seed).choice(len(told), len(kept), replace=False)
        return [told[row] for row in np.sort(rows)]
    return list(told if arm == "everything" else kept)


def _tell(ground: Ground) -> None:
    images = ground.images
    images.mkdir(parents=True, exist_ok=True)
    rows = ground.relabel(read_index(ground.source))
    for shard in {row.shard for row in rows}:
        link = images / shard
        link.unlink(missing_ok=True)
        link.symlink_to((ground.source / shard).resolve())
    write_rows(images / INDEX, rows)


def _arm(ground: Ground, arm: str) -> Iterator[Step]:
    name = f"{ground.name}-{arm}"
    folder = ground.open(name, None)
    before = (f"{ground.name}/curate",)
    yield Step(f"{name}/choose", "curate", folder, partial(_choose, ground, arm), (folder / KEPT,), before)
    rows = folder / "data/train.jsonl", folder / "data/val.jsonl"
    act = partial(gossamer, folder, "split", KEPT, *rows)
    yield Step(f"{name}/split", "split", folder, act, rows, (f"{name}/choose",))
    for seed in ground.seeds:
        trial = _trial(ground, arm, seed)
        at = ground.open(trial, seed)
        needs = (f"{name}/split", *ground.before)
        yield from train_and_judge(Trial(trial, at, rows, ground.images, ground.selfies, ground.policy, needs))


def _choose(ground: Ground, arm: str) -> None:
    told = read_index(ground.images)
    kept = read_rows(ground.open(ground.name, None) / KEPT, Image)
    rows = ground.oracle(ground.images, told) if arm == "oracle" else choose_rows(arm, told, kept, ground.seeds[0])
    write_rows(ground.open(f"{ground.name}-{arm}", None) / KEPT, rows)


def _trial(ground: Ground, arm: str, seed: int) -> str:
    return f"{ground.name}-{arm}-seed-{seed}"

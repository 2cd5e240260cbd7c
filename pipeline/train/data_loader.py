"""Rows -> batches of pictures to learn from: decoded once, drawn label by label, augmented ahead of their turn.

Reads images from shards. Chance is keyed by (seed, epoch) for the order and by (seed, epoch, batch, part) for the
augmentation, so any epoch can be drawn again without the ones before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.config.params import TrainParams
from pipeline.data.preprocess import PreprocessSpec
from pipeline.data.records import Image
from pipeline.data.shards import load_batch
from pipeline.train.augmentation import augment
from pipeline.train.trainer import Indices, Part

# Pixels of more rows than this are read from disk again in every epoch.
HELD_BYTES = 2 << 30
_CHUNK = 256


class Pictures:
    """The pixels and labels of rows, at the input size.

    Args:
        folder: Holds the shards.
        images: The rows.
        labels: In the order of the network's outputs.
        spec: Gives the input size.
        pool: Decodes.
    """

    def __init__(
        self, folder: Path, images: Sequence[Image], labels: Sequence[str], spec: PreprocessSpec, pool: Executor
    ) -> None:
        self._folder, self._images, self._spec = folder, images, spec
        self.targets: NDArray[np.int64] = np.array([labels.index(image.label) for image in images], np.int64)
        self._held: NDArray[np.uint8] | None = None
        shape = (len(images), *spec.input_size, 3)
        if np.prod(shape) <= HELD_BYTES:
            held = np.empty(shape, np.uint8)
            chunks = [images[low : low + _CHUNK] for low in range(0, len(images), _CHUNK)]
            for number, pixels in enumerate(pool.map(self._load, chunks)):
                held[number * _CHUNK : number * _CHUNK + len(pixels)] = pixels
            self._held = held

    def read(self, rows: Indices) -> NDArray[np.uint8]:
        """Return pixels, uint8 (n, height, width, 3), RGB, of these rows."""
        if self._held is not None:
            return self._held[rows]
        return self._load([self._images[row] for row in rows])

    def _load(self, images: Sequence[Image]) -> NDArray[np.uint8]:
        return load_batch(self._folder, images, self._spec)


@dataclass(frozen=True, slots=True)
class Plan:
    """How an epoch is cut: batches of one size, each in the same parts."""

    batches: int
    parts: tuple[slice, ...]

    @property
    def batch_size(self) -> int:
        """Pictures a batch."""
        return int(self.parts[-1].stop)

    @property
    def images(self) -> int:
        """Pictures an epoch."""
        return self.batches * self.batch_size


def draw_order(targets: NDArray[np.int64], count: int, stream: np.random.Generator) -> Indices:
    """Draw rows for one epoch, each label equally often, in random order.

    Args:
        targets: Label index of every row, int64 (rows,); each label has at least one.
        count: Pictures to draw; a label with too few rows repeats them, one with too many shows a part.
        stream: Where chance comes from.
    """
    labels = np.unique(targets)
    drawn = []
    for place, label in enumerate(labels):
        share = count // len(labels) + (place < count % len(labels))
        rows = np.flatnonzero(targets == label)
        rounds = [stream.permutation(rows) for _ in range(-(-share // len(rows)))]
        drawn.append(np.concatenate(rounds)[:share] if rounds else rows[:0])
    return stream.permutation(np.concatenate(drawn))


def draw_epoch(pictures: Pictures, plan: Plan, params: TrainParams, epoch: int, pool: Executor) -> Iterator[list[Part]]:
    """Yield the batches of an epoch as their parts; the pool prepares them while the ones before are learnt."""
    order = draw_order(pictures.targets, plan.images, np.random.default_rng([params.seed, epoch]))

    def prepare(batch: int, number: int) -> Part:
        rows = order[batch * plan.batch_size : (batch + 1) * plan.batch_size][plan.parts[number]]
        stream = np.random.default_rng([params.seed, epoch, batch, number])
        return Part(augment(pictures.read(rows), stream, params.augment), pictures.targets[rows])

    jobs = [(batch, number) for batch in range(plan.batches) for number in range(len(plan.parts))]
    ready = _ahead(pool, prepare, jobs, depth=max(len(plan.parts), 2 * params.threads))
    for _ in range(plan.batches):
        yield list(islice(ready, len(plan.parts)))


def _ahead(
    pool: Executor, prepare: Callable[[int, int], Part], jobs: Sequence[tuple[int, int]], depth: int
) -> Iterator[Part]:
    waiting: deque[Future[Part]] = deque()
    for job in jobs:
        waiting.append(pool.submit(prepare, *job))
        if len(waiting) > depth:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()

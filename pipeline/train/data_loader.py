"""Rows -> batches of training images: decoded once, balanced by label, augmented in the background.

Reads images from shards. The order of an epoch is seeded by (seed, epoch), the augmentation of a micro-batch by (seed,
epoch, batch, micro-batch): an epoch can be repeated without those before it.
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
from pipeline.train.trainer import Indices, MicroBatch

MAX_MEMORY_BYTES = 2 << 30
"""Decoded images larger than this in total are not kept in memory but read from disk in every epoch."""
_CHUNK = 256


class ImageDataset:
    """Pixels and labels of rows, at the input size.

    Args:
        folder: Folder of the shards.
        images: The rows.
        labels: In the order of the network's outputs.
        spec: Input size, and how images are fitted to it.
        pool: Decodes images.

    Attributes:
        targets: Label index of every row, int64 (rows,).
    """

    def __init__(
        self, folder: Path, images: Sequence[Image], labels: Sequence[str], spec: PreprocessSpec, pool: Executor
    ) -> None:
        self._folder, self._images, self._spec = folder, images, spec
        self.targets: NDArray[np.int64] = np.array([labels.index(image.label) for image in images], np.int64)
        self._in_memory: NDArray[np.uint8] | None = None
        shape = (len(images), *spec.input_size, 3)
        if np.prod(shape) <= MAX_MEMORY_BYTES:
            decoded = np.empty(shape, np.uint8)
            chunks = [images[low : low + _CHUNK] for low in range(0, len(images), _CHUNK)]
            for number, pixels in enumerate(pool.map(self._load, chunks)):
                decoded[number * _CHUNK : number * _CHUNK + len(pixels)] = pixels
            self._in_memory = decoded

    def read(self, rows: Indices) -> NDArray[np.uint8]:
        """Return the pixels of rows, int64 (n,): uint8 (n, height, width, 3) RGB."""
        if self._in_memory is not None:
            return self._in_memory[rows]
        return self._load([self._images[row] for row in rows])

    def _load(self, images: Sequence[Image]) -> NDArray[np.uint8]:
        return load_batch(self._folder, images, self._spec)


@dataclass(frozen=True, slots=True)
class EpochPlan:
    """Division of an epoch into batches of equal size, and of each batch into the same micro-batches.

    Attributes:
        batches: Number of batches.
        micro_batches: Slices of a batch (``pipeline.train.trainer.split_batch``).
    """

    batches: int
    micro_batches: tuple[slice, ...]

    @property
    def batch_size(self) -> int:
        """Images per batch."""
        return int(self.micro_batches[-1].stop)

    @property
    def images(self) -> int:
        """Images per epoch."""
        return self.batches * self.batch_size


def sample_rows(targets: NDArray[np.int64], count: int, rng: np.random.Generator) -> Indices:
    """Sample the rows of one epoch, equally many of each label, in random order.

    Args:
        targets: Label index of every row, int64 (rows,); each label has at least one row.
        count: Number of rows to sample. A label with fewer rows than its share repeats them; of one with more, a random
            subset is used.
        rng: Random number generator.

    Returns:
        Row indices, int64 (count,).
    """
    labels = np.unique(targets)
    sampled = []
    for number, label in enumerate(labels):
        share = count // len(labels) + (number < count % len(labels))
        rows = np.flatnonzero(targets == label)
        rounds = [rng.permutation(rows) for _ in range(-(-share // len(rows)))]
        sampled.append(np.concatenate(rounds)[:share] if rounds else rows[:0])
    return rng.permutation(np.concatenate(sampled))


def load_epoch(
    dataset: ImageDataset, plan: EpochPlan, params: TrainParams, epoch: int, pool: Executor
) -> Iterator[list[MicroBatch]]:
    """Yield the batches of an epoch as lists of micro-batches; the pool prepares the next ones in the meantime.

    Args:
        dataset: The training images.
        plan: Division into batches and micro-batches.
        params: Seed, augmentation strength and number of threads.
        epoch: Number of the epoch, from 0.
        pool: Reads and augments micro-batches.
    """
    order = sample_rows(dataset.targets, plan.images, np.random.default_rng([params.seed, epoch]))

    def prepare(batch: int, number: int) -> MicroBatch:
        rows = order[batch * plan.batch_size : (batch + 1) * plan.batch_size][plan.micro_batches[number]]
        rng = np.random.default_rng([params.seed, epoch, batch, number])
        return MicroBatch(augment(dataset.read(rows), rng, params.augment), dataset.targets[rows])

    count = len(plan.micro_batches)
    jobs = [(batch, number) for batch in range(plan.batches) for number in range(count)]
    ready = _prefetch(pool, prepare, jobs, depth=max(count, 2 * params.threads))
    for _ in range(plan.batches):
        yield list(islice(ready, count))


def _prefetch(
    pool: Executor, prepare: Callable[[int, int], MicroBatch], jobs: Sequence[tuple[int, int]], depth: int
) -> Iterator[MicroBatch]:
    """Yield prepared jobs in order, with at most ``depth`` + 1 of them submitted ahead."""
    waiting: deque[Future[MicroBatch]] = deque()
    for job in jobs:
        waiting.append(pool.submit(prepare, *job))
        if len(waiting) > depth:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()

"""Features of pictures under a frozen backbone, computed once: the work area of the stage keeps them.

    NAME-ROW.npz    one entry per block of ``BLOCK`` pictures: unit, overall and, for an expert, fine and coarse

So a stopped run resumes with the first block that is missing.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.data.preprocess import PreprocessSpec
from pipeline.data.work_cache import WorkCache
from pipeline.machine.memory_layout import lay_out
from pipeline.train.augmentation import augment
from pipeline.train.feature_classifier import FeatureClassifier, to_unit
from pipeline.train.model import PortableClassifier

Indices = NDArray[np.int64]
Read = Callable[[Indices], NDArray[np.uint8]]
"""Row indices, int64 (n,) -> pixels, uint8 (n, height, width, 3) RGB."""

BLOCK = 32
"""Images per forward pass."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """Labelled pictures that are read on demand.

    Attributes:
        read: Gives the pixels of rows.
        targets: Label index of every row, int64 (rows,).
        origins: Origin of every row, such as the name of its generator: str (rows,).
    """

    read: Read
    targets: Indices
    origins: NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """Features of pictures.

    Attributes:
        unit: Weighted average of the last map, of length 1: float32 (rows, channels).
        overall: Mean of the last map, of length 1: float32 (rows, channels).
        fine: The last map but one, float16 (rows, channels, rows, columns); without an expert, empty.
        coarse: The last map, likewise.
    """

    unit: NDArray[np.float32]
    overall: NDArray[np.float32]
    fine: NDArray[np.float16]
    coarse: NDArray[np.float16]

    @staticmethod
    def join(parts: Sequence[FeatureSet]) -> FeatureSet:
        """Concatenate the rows of several sets."""
        names = FeatureSet.__dataclass_fields__
        return FeatureSet(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


class FeatureTable:
    """Computes features of pictures once; the work area keeps them.

    Args:
        network: In eval mode, with its cell weights set.
        spec: How pixels become its input.
        cache: The work area.
        pool: Runs blocks; each of its threads runs torch on one thread.
    """

    def __init__(self, network: FeatureClassifier, spec: PreprocessSpec, cache: WorkCache, pool: Executor) -> None:
        self._network, self._cache, self._pool = network, cache, pool
        self._classifier = lay_out(PortableClassifier(network, spec)).eval()

    def compute(
        self, name: str, pictures: Pictures, strength: float, seed: Sequence[int], on_block: Callable[[int], None]
    ) -> FeatureSet:
        """Compute the features of all rows.

        Args:
            name: Prefix of the entries in the work area.
            pictures: What to compute.
            strength: Strength of the augmentation, 0..1.
            seed: Seed of the augmentation.
            on_block: Called with the number of pictures after each block.
        """
        count = len(pictures.targets)

        def one(low: int) -> FeatureSet:
            entry = f"{name}-{low:07d}.npz"
            if self._cache.has(entry):
                with np.load(self._cache.path(entry), allow_pickle=False) as stored:
                    return FeatureSet(*(stored[field] for field in FeatureSet.__dataclass_fields__))
            pixels = pictures.read(np.arange(low, min(low + BLOCK, count)))
            features = self._features(augment(pixels, np.random.default_rng([*seed, low]), strength))
            buffer = io.BytesIO()
            np.savez(buffer, **{field: getattr(features, field) for field in FeatureSet.__dataclass_fields__})
            with self._cache.write(entry) as file:
                file.write(buffer.getvalue())
            return features

        blocks = []
        for block in self._pool.map(one, range(0, count, BLOCK)):
            blocks.append(block)
            on_block(len(block.unit))
        return FeatureSet.join(blocks)

    def _features(self, pixels: NDArray[np.uint8]) -> FeatureSet:
        with torch.inference_mode():
            maps = self._network.maps(self._classifier.normalise(torch.from_numpy(pixels)))
            unit, overall = self._network.pool(maps[-1]), to_unit(maps[-1].mean((2, 3)))
        kept = [each.contiguous().numpy().astype(np.float16) for each in maps]
        empty = np.empty((len(pixels), 0, 0, 0), np.float16)
        fine, coarse = kept if self._network.expert is not None else (empty, empty)
        return FeatureSet(unit.numpy(), overall.numpy(), fine, coarse)

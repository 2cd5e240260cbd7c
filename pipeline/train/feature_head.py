"""A classifier on frozen features: class directions fitted to pictures of several origins, with no gradient steps.

Trained on drawn or generated pictures, a network learns what tells their labels apart by any means, also those that
photographs lack. Features of ImageNet carry over to photographs if as little as possible is fitted to the pictures:

1. The backbone stays as it is; features are those of its last block, before the last convolution (timm's
   ``features_only``), which is more specific to ImageNet's classes and carries over worse.
2. Cells of the feature map are averaged with fixed weights: the absolute difference between the mean pictures of the
   labels, in each cell. So the classifier looks where the label shows (the upper middle for a helmet, mouth and nose
   for a mask), for any policy.
3. The average is scaled to length 1: photographs have smaller features than drawings.
4. Per origin of the pictures (``Image.generator``), a label's direction is its class mean minus the mean of all class
   means, scaled to length 1 over all labels. Directions and midpoints are averaged over origins, not over pictures:
   origins err differently, and what they agree on carries over.
5. One scale turns scores into log-odds that are calibrated on augmented validation pictures.

Measured in docs/log.md. Reads pixels; writes features into the work area of the stage, so that a stopped run resumes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from pipeline.data.preprocess import PreprocessSpec
from pipeline.data.work_cache import WorkCache
from pipeline.errors import DataError
from pipeline.machine.memory_layout import lay_out
from pipeline.metrics.decision_threshold import fit_temperature
from pipeline.train.augmentation import augment
from pipeline.train.feature_classifier import FeatureClassifier
from pipeline.train.model import PortableClassifier

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Read = Callable[[Indices], NDArray[np.uint8]]
"""Row indices, int64 (n,) -> pixels, uint8 (n, height, width, 3) RGB."""

BLOCK = 32
"""Images per forward pass; its features are one entry of the work area."""
_MIN_WEIGHT = 1e-9
_FIRST_SCALE = 20.0
"""Scores are differences of cosines; multiplied by this, they are log-odds of the usual size before calibration."""


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
class FittedHead:
    """State of the head after a number of augmented passes over the training pictures.

    Attributes:
        passes: Number of passes it was fitted to.
        weight: float64 (labels, channels).
        bias: float64 (labels,).
        train_loss: Cross-entropy on the augmented training pictures, in nats.
        val_loss: Cross-entropy on the validation pictures, in nats.
        val_accuracy: Share of validation pictures whose most probable label is theirs, 0..1.
        val_probabilities: Of the augmented validation pictures, float64 (rows, labels); they calibrate the threshold.
    """

    passes: int
    weight: Floats
    bias: Floats
    train_loss: float
    val_loss: float
    val_accuracy: float
    val_probabilities: Floats


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
    ) -> Floats:
        """Compute the features of all rows.

        Args:
            name: Prefix of the entries in the work area.
            pictures: What to compute.
            strength: Strength of the augmentation, 0..1.
            seed: Seed of the augmentation.
            on_block: Called with the number of pictures after each block.

        Returns:
            float64 (rows, channels), rows of length 1.
        """
        count = len(pictures.targets)
        lows = range(0, count, BLOCK)

        def one(low: int) -> NDArray[np.float32]:
            entry = f"{name}-{low:07d}.npy"
            if self._cache.has(entry):
                return np.asarray(np.load(self._cache.path(entry), allow_pickle=False), np.float32)
            pixels = pictures.read(np.arange(low, min(low + BLOCK, count)))
            pixels = augment(pixels, np.random.default_rng([*seed, low]), strength)
            with torch.inference_mode():
                features = self._network.features(self._classifier.normalise(torch.from_numpy(pixels))).numpy()
            buffer = io.BytesIO()
            np.save(buffer, features)
            with self._cache.write(entry) as file:
                file.write(buffer.getvalue())
            return np.asarray(features, np.float32)

        blocks = []
        for block in self._pool.map(one, lows):
            blocks.append(block)
            on_block(len(block))
        return np.concatenate(blocks).astype(np.float64)


def weigh_cells(pictures: Pictures, cells: tuple[int, int]) -> NDArray[np.float32]:
    """Measure where the labels differ: per origin, how far the mean picture of each label is from the mean of all.

    Args:
        pictures: The training pictures, not augmented.
        cells: (rows, columns) of the feature map.

    Returns:
        float32 (rows, columns), sum 1: the average over origins.
    """
    totals: dict[tuple[str, int], Floats] = {}
    counts: dict[tuple[str, int], int] = {}
    for low in range(0, len(pictures.targets), BLOCK):
        rows = np.arange(low, min(low + BLOCK, len(pictures.targets)))
        for row, pixels in zip(rows, pictures.read(rows), strict=True):
            key = (str(pictures.origins[row]), int(pictures.targets[row]))
            totals[key] = totals.get(key, np.zeros(pixels.shape)) + pixels
            counts[key] = counts.get(key, 0) + 1
    maps = []
    for origin in usable_origins(pictures):
        means = np.stack([totals[key] / counts[key] for key in sorted(totals) if key[0] == origin])
        difference = torch.from_numpy(np.abs(means - means.mean(0)).mean((0, 3)))[None]
        cell = functional.adaptive_avg_pool2d(difference, cells)[0].numpy()
        maps.append(cell / max(float(cell.sum()), _MIN_WEIGHT))
    average = np.mean(maps, axis=0) + _MIN_WEIGHT
    return np.asarray(average / average.sum(), np.float32)


def usable_origins(pictures: Pictures) -> list[str]:
    """Name the origins that have pictures of every label; only these give directions.

    Raises:
        DataError: None has.
    """
    labels = len(np.unique(pictures.targets))
    usable = [
        str(origin)
        for origin in np.unique(pictures.origins)
        if len(np.unique(pictures.targets[pictures.origins == origin])) == labels
    ]
    if not usable:
        raise DataError(
            "training rows: no generator drew pictures of every label; expected at least one that did; see "
            "data/rejected.jsonl and params.yaml generate.mix"
        )
    return usable


def fit_directions(features: Floats, pictures: Pictures) -> tuple[Floats, Floats]:
    """Fit the linear layer to class means, averaged over origins.

    Args:
        features: float64 (rows, channels), rows of length 1; a multiple of the rows of ``pictures``, pass by pass.
        pictures: Labels and origins of the rows of one pass.

    Returns:
        weight, float64 (labels, channels), and bias, float64 (labels,), not calibrated.
    """
    passes = len(features) // len(pictures.targets)
    targets = np.tile(pictures.targets, passes)
    origins = np.tile(pictures.origins, passes)
    directions, centres = [], []
    for origin in usable_origins(pictures):
        own = origins == origin
        means = np.stack([features[own & (targets == label)].mean(0) for label in np.unique(targets)])
        centre = means.mean(0)
        directions.append((means - centre) / max(float(np.linalg.norm(means - centre)), _MIN_WEIGHT))
        centres.append(centre)
    weight = np.mean(directions, axis=0) * _FIRST_SCALE
    return weight, -weight @ np.mean(centres, axis=0)


def fit_head(
    pictures: Pictures,
    val: Pictures,
    table: FeatureTable,
    augmentation: tuple[float, int, int],
    on_block: Callable[[int], None],
) -> Iterator[FittedHead]:
    """Fit the head to one more augmented pass over the training pictures at a time.

    Args:
        pictures: Training pictures.
        val: Validation pictures.
        table: Computes features.
        augmentation: Strength 0..1, seed, and number of passes.
        on_block: Called with the number of pictures after each block.

    Yields:
        The head after each pass; the last one is fitted to all.
    """
    strength, seed, passes = augmentation
    clean = table.compute("val", val, 0.0, (seed, 0), on_block)
    augmented = table.compute("val-augmented", val, strength, (seed, 1), on_block)
    features: list[Floats] = []
    for number in range(passes):
        features.append(table.compute(f"train-{number}", pictures, strength, (seed, 2 + number), on_block))
        weight, bias = fit_directions(np.concatenate(features), pictures)
        temperature = fit_temperature(_softmax(augmented @ weight.T + bias), val.targets)
        weight, bias = weight / temperature, bias / temperature
        logits = clean @ weight.T + bias
        yield FittedHead(
            passes=number + 1,
            weight=weight,
            bias=bias,
            train_loss=_cross_entropy(features[-1] @ weight.T + bias, pictures.targets),
            val_loss=_cross_entropy(logits, val.targets),
            val_accuracy=float((logits.argmax(1) == val.targets).mean()),
            val_probabilities=_softmax(augmented @ weight.T + bias),
        )


def _softmax(logits: Floats) -> Floats:
    return torch.from_numpy(logits).softmax(1).numpy()


def _cross_entropy(logits: Floats, targets: Indices) -> float:
    return float(functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(targets)))

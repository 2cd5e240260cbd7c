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

Measured in docs/log.md. Pure, except that pixels are read.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch.nn import functional

from pipeline.errors import DataError
from pipeline.metrics.decision_threshold import fit_temperature
from pipeline.train.head.feature_set import BLOCK, Pictures

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
_MIN_WEIGHT = 1e-9
_FIRST_SCALE = 5.0
"""Scores are differences of cosines; multiplied by this, they are log-odds of the usual size before calibration."""


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


def fit_head(features: Floats, pictures: Pictures, val: Floats, val_targets: Indices) -> tuple[Floats, Floats]:
    """Fit directions, and scale them so that log-odds are calibrated on validation pictures.

    Args:
        features: Features of the training pictures, float64 (rows, channels), pass by pass.
        pictures: Labels and origins of the rows of one pass.
        val: Features of augmented validation pictures, float64 (n, channels).
        val_targets: Their label indices, int64 (n,).

    Returns:
        weight, float64 (labels, channels), and bias, float64 (labels,).
    """
    weight, bias = fit_directions(features, pictures)
    temperature = fit_temperature(softmax(val @ weight.T + bias, axis=1), val_targets)
    return weight / temperature, bias / temperature

"""Fits the expert of a ``FeatureClassifier`` and the gate that lets it decide, on cached feature maps.

A head that carries over to photographs uses little of what tells drawn or generated pictures apart, and a network that
uses it all does not carry over. So both are kept: the expert is trained on the feature maps by gradient descent, and it
decides where a picture is like the training pictures. How like is measured by the largest cosine between a picture's
mean feature and the centres of the training pictures' (spherical k-means, the same number for every generator). The
gate opens where all but a small share of each generator's validation pictures lie above, so it needs no picture of any
other kind. Photographs are mostly below it, and the head decides.

Consequence: accuracy on pictures of the training's kind is the expert's, and is no estimate for photographs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from torch.nn import functional

from pipeline.train.feature_classifier import CENTRES, Expert, FeatureClassifier
from pipeline.train.head.feature_set import FeatureSet, Pictures

EPOCHS = 12
BATCH = 64
LEARNING_RATE = 0.002
WARMUP_STEPS = 30
WEIGHT_DECAY = 0.05
LABEL_SMOOTHING = 0.05
GATE_QUANTILE = 0.05
"""Largest share of a generator's validation pictures that may lie below the middle of the gate."""
GATE_WIDTH = 0.3
"""Width of the gate, in standard deviations of the validation pictures' closeness."""


def fit_expert(
    network: FeatureClassifier,
    train: tuple[FeatureSet, Pictures],
    val: tuple[FeatureSet, Pictures],
    seed: int,
) -> Iterator[int]:
    """Train the expert, and set centres and gate, in place.

    Args:
        network: With an expert; its trunk is not changed.
        train: Features of augmented training pictures, pass by pass, and the pictures of one pass.
        val: Features of the validation pictures, not augmented, and the pictures.
        seed: Seed of initial weights, order and dropout.

    Yields:
        The number of each finished epoch, from 1; when there are no more, the network is complete.
    """
    expert, (features, pictures) = network.expert, train
    assert expert is not None
    passes = len(features.unit) // len(pictures.targets)
    targets, origins = np.tile(pictures.targets, passes), np.tile(pictures.origins, passes)
    scales = [float(np.std(part[:BATCH].astype(np.float32))) + 1e-6 for part in (features.fine, features.coarse)]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        _reset(expert)
        yield from _descend(expert, features, targets, (seed, scales))
    with torch.no_grad():
        for layer, scale in zip((expert.fine, expert.coarse), scales, strict=True):
            layer.weight.div_(scale)
    network.centres.copy_(torch.from_numpy(find_centres(features.overall, origins, seed)))
    _set_gate(network, *val)


def find_centres(features: NDArray[np.float32], origins: NDArray[np.str_], seed: int) -> NDArray[np.float32]:
    """Cluster unit vectors by cosine, those of each origin by themselves.

    Args:
        features: float32 (n, channels), rows of length 1.
        origins: str (n,).
        seed: Seed of the first centres.

    Returns:
        float32 (CENTRES, channels), rows of length 1; with few pictures, some are the same.
    """
    names = np.unique(origins)[:CENTRES]
    found = [
        _cluster(features[origins == name].astype(np.float64), len(part), seed)
        for name, part in zip(names, np.array_split(np.arange(CENTRES), len(names)), strict=True)
    ]
    return np.resize(np.concatenate(found), (CENTRES, features.shape[1])).astype(np.float32)


def _cluster(features: NDArray[np.float64], count: int, seed: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    centres, _ = kmeans2(features, min(count, len(features)), iter=20, minit="++", seed=rng)
    unit: NDArray[np.float64] = centres / np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-9)
    return unit


def _reset(expert: Expert) -> None:
    for module in expert.modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            module.reset_parameters()


def _descend(
    expert: Expert,
    train: FeatureSet,
    targets: NDArray[np.int64],
    settings: tuple[int, Sequence[float]],
) -> Iterator[int]:
    """Minimise cross-entropy with AdamW: linear warm-up, then linear decay to zero."""
    seed, (fine_scale, coarse_scale) = settings
    rng = np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(expert.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    size = min(BATCH, len(targets))
    steps = EPOCHS * (len(targets) // size)
    expert.train()
    step = 0
    for epoch in range(EPOCHS):
        order = rng.permutation(len(targets))
        for low in range(0, len(order) - size + 1, size):
            rows = np.sort(order[low : low + size])
            rate = LEARNING_RATE * min(1.0, (step + 1) / WARMUP_STEPS) * (1 - step / steps)
            for group in optimiser.param_groups:
                group["lr"] = rate
            fine, coarse = (
                torch.from_numpy(part[rows].astype(np.float32) / scale)
                for part, scale in ((train.fine, fine_scale), (train.coarse, coarse_scale))
            )
            wanted = torch.from_numpy(targets[rows])
            loss = functional.cross_entropy(expert(fine, coarse), wanted, label_smoothing=LABEL_SMOOTHING)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            step += 1
        yield epoch + 1
    expert.eval()


def _set_gate(network: FeatureClassifier, val: FeatureSet, pictures: Pictures) -> None:
    with torch.no_grad():
        cosines = functional.linear(torch.from_numpy(val.overall), network.centres).amax(1).double().numpy()
        lows = [np.quantile(cosines[pictures.origins == name], GATE_QUANTILE) for name in np.unique(pictures.origins)]
        slope = 1 / max(GATE_WIDTH * float(cosines.std()), 1e-3)
        network.gate.copy_(torch.tensor([slope, -slope * min(lows)]))

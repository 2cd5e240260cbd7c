"""Pictures with squares, as the training methods read them, and a classifier on the features of a tiny network."""

from __future__ import annotations

import numpy as np
import torch

from pipeline.train.backbone import Architecture
from pipeline.train.feature_classifier import FeatureClassifier, build_feature_classifier
from pipeline.train.head.feature_set import Pictures
from tests.pipeline.squares import LABELS, SIZE, draw_square


def squares(count: int, origins: tuple[str, ...] = ("a",), seed: int = 0) -> Pictures:
    """Pictures with a square in the lower half (label 0) or in the upper half (label 1), in turn."""
    targets = np.arange(count) % 2
    pixels = np.stack([draw_square(LABELS[target], seed + row) for row, target in enumerate(targets)])
    named = np.array([origins[row // 2 % len(origins)] for row in range(count)])
    return Pictures(lambda rows: pixels[rows], targets, named)


def tiny_classifier(*, expert: bool = False, backbone: str = "test_efficientnet", labels: int = 2) -> FeatureClassifier:
    """A classifier for pictures of squares with random weights, in eval mode."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        architecture = Architecture("head", backbone, labels, "symmetric", SIZE, expert)
        return build_feature_classifier(architecture).eval()

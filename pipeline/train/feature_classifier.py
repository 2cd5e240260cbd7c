"""A classifier on a backbone's feature map: cells averaged with fixed weights, scaled to length 1, one linear layer.

``pipeline.train.feature_head`` fits it and says why it is built so.
"""

from __future__ import annotations

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.errors import ParamsError
from pipeline.train.backbone import FAILURES, Padding, build_network, feature_options

_TINY = 1e-9


class FeatureClassifier(nn.Module):
    """Frozen features, weighted average over cells, unit length, one linear layer.

    Takes normalised float32 (n, 3, height, width), returns logits (n, labels).

    Args:
        trunk: timm's ``features_only`` network; its last feature map is used.
        channels: Channels of the map.
        cells: (rows, columns) of the map.
        labels: Number of outputs.
    """

    cell_weights: torch.Tensor

    def __init__(self, trunk: nn.Module, channels: int, cells: tuple[int, int], labels: int) -> None:
        super().__init__()
        self.trunk, self.cells = trunk, cells
        self.register_buffer("cell_weights", torch.full((1, 1, *cells), 1 / (cells[0] * cells[1])))
        self.classifier = nn.Linear(channels, labels)

    def set_head(self, weight: NDArray[np.float64], bias: NDArray[np.float64]) -> None:
        """Set the linear layer: weight (labels, channels), bias (labels,)."""
        with torch.no_grad():
            self.classifier.weight.copy_(torch.from_numpy(weight))
            self.classifier.bias.copy_(torch.from_numpy(bias))

    def features(self, normalised: torch.Tensor) -> torch.Tensor:
        """Compute features of length 1, float32 (n, channels)."""
        feature_map = self.trunk(normalised)[-1]
        average = (feature_map * self.cell_weights).sum((2, 3))
        unit: torch.Tensor = average / average.square().sum(1, keepdim=True).add(_TINY).sqrt()
        return unit

    def forward(self, normalised: torch.Tensor) -> torch.Tensor:
        """Compute logits, float32 (n, labels)."""
        logits: torch.Tensor = self.classifier(self.features(normalised))
        return logits


def build_feature_classifier(
    backbone: str, labels: int, pretrained: str, padding: Padding, input_size: tuple[int, int]
) -> FeatureClassifier:
    """Create a classifier on the features of a timm backbone.

    Args:
        backbone: Name of a timm model.
        labels: Number of outputs.
        pretrained: As for ``build_network``; "none" leaves random features, for weights that are loaded afterwards.
        padding: As for ``build_network``.
        input_size: (height, width) of the images, in pixels.

    Raises:
        ParamsError: timm has no such backbone, or it has no feature maps.
        ModelError: The weights cannot be loaded.
    """
    whole = build_network(backbone, labels, pretrained, padding, input_size)
    own = {_plain(name): tensor for name, tensor in whole.state_dict().items()}
    try:
        trunk = timm.create_model(
            backbone, features_only=True, out_indices=(-1,), **feature_options(backbone, padding, input_size)
        ).eval()
        with torch.no_grad():
            (feature_map,) = trunk(torch.zeros(1, 3, *input_size))
        _, channels, height, width = feature_map.shape
        trunk.load_state_dict({name: own[_plain(name)] for name in trunk.state_dict()})
    except FAILURES as error:
        raise ParamsError(
            f"params.yaml train.method: head; {backbone!r} has no feature maps: {error}; expected a convolutional "
            "network such as tf_efficientnet_lite0 or mobilenetv2_100, or train.method: full"
        ) from error
    return FeatureClassifier(trunk, channels, (height, width), labels)


def _plain(name: str) -> str:
    """Name of a tensor, the same in timm's whole network and in its features-only one (stages.1 and stages_1)."""
    return name.replace(".", "_").removeprefix("model_")

"""A classifier on the feature maps of a frozen backbone: a head that carries over, and an expert for familiar pictures.

``pipeline.train.head.directions`` and ``pipeline.train.head.expert`` fit it, and say why it is built so.
"""

from __future__ import annotations

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from pipeline.errors import ParamsError
from pipeline.train.backbone import FAILURES, Architecture, build_network, feature_options

EXPERT_WIDTH = 64
"""Channels of each of the expert's layers."""
CENTRES = 64
DROPOUT = 0.2
_TINY = 1e-9


class Expert(nn.Module):
    """A small convolutional classifier on two feature maps, for pictures like those of the training.

    Takes the maps before and after the last change of resolution, float32 (n, channels, rows, columns); the first has
    twice as many rows and columns, rounded up to even numbers. Returns logits (n, labels).

    Args:
        channels: Channels of the two maps.
        cells: (rows, columns) of the second map.
        labels: Number of outputs.
    """

    def __init__(self, channels: tuple[int, int], cells: tuple[int, int], labels: int) -> None:
        super().__init__()
        self.fine = nn.Conv2d(channels[0], EXPERT_WIDTH, 1)
        self.shrink = nn.Conv2d(EXPERT_WIDTH, EXPERT_WIDTH, 3, stride=2, padding=1)
        self.coarse = nn.Conv2d(channels[1], EXPERT_WIDTH, 1)
        self.join = nn.Conv2d(2 * EXPERT_WIDTH, EXPERT_WIDTH, 3, padding=1)
        self.drop_channels, self.drop = nn.Dropout2d(DROPOUT), nn.Dropout(DROPOUT)
        self.classifier = nn.Linear(EXPERT_WIDTH * cells[0] * cells[1], labels)

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        """Compute logits, float32 (n, labels)."""
        shrunk = functional.relu6(self.shrink(functional.relu6(self.fine(fine))))
        both = self.drop_channels(torch.cat([shrunk, functional.relu6(self.coarse(coarse))], 1))
        joined = functional.relu6(self.join(both))
        logits: torch.Tensor = self.classifier(self.drop(joined.flatten(1)))
        return logits


class FeatureClassifier(nn.Module):
    """Frozen features with a head that carries over to other kinds of pictures, and optionally an expert.

    The head averages the cells of the last feature map with fixed weights, scales the average to length 1 and applies
    one linear layer. The expert's logits replace the head's as far as a picture is like those of the training: a
    sigmoid of the largest cosine between its mean feature and the centres of the training pictures' mean features.

    Takes normalised float32 (n, 3, height, width), returns logits (n, labels).

    Args:
        trunk: timm's ``features_only`` network: its last feature map, with an expert its last two.
        channels: Channels of the maps.
        cells: (rows, columns) of the last map.
        labels: Number of outputs.
    """

    cell_weights: torch.Tensor
    centres: torch.Tensor
    gate: torch.Tensor

    def __init__(self, trunk: nn.Module, channels: tuple[int, ...], cells: tuple[int, int], labels: int) -> None:
        super().__init__()
        self.trunk, self.cells = trunk, cells
        self.register_buffer("cell_weights", torch.full((1, 1, *cells), 1 / (cells[0] * cells[1])))
        self.classifier = nn.Linear(channels[-1], labels)
        self.expert = Expert((channels[0], channels[1]), cells, labels) if len(channels) > 1 else None
        if self.expert is not None:
            self.register_buffer("centres", torch.zeros(CENTRES, channels[-1]))
            self.register_buffer("gate", torch.tensor([0.0, -100.0]))  # slope and intercept: closed until it is fitted

    def set_head(self, weight: NDArray[np.float64], bias: NDArray[np.float64]) -> None:
        """Set the linear layer of the head: weight (labels, channels), bias (labels,)."""
        with torch.no_grad():
            self.classifier.weight.copy_(torch.from_numpy(weight))
            self.classifier.bias.copy_(torch.from_numpy(bias))

    def maps(self, normalised: torch.Tensor) -> list[torch.Tensor]:
        """Compute the feature maps that the head and the expert use, the last one last."""
        return list(self.trunk(normalised))

    def pool(self, feature_map: torch.Tensor) -> torch.Tensor:
        """Average the cells with their weights, scaled to length 1: float32 (n, channels)."""
        return to_unit((feature_map * self.cell_weights).sum((2, 3)))

    def mix(self, head: torch.Tensor, expert: torch.Tensor, overall: torch.Tensor) -> torch.Tensor:
        """Replace the head's logits (n, labels) by the expert's as far as a picture is like those of the training.

        Args:
            head: Logits of the head.
            expert: Logits of the expert.
            overall: Mean features of length 1, float32 (n, channels).
        """
        closeness = functional.linear(overall, self.centres).amax(1, keepdim=True)
        share = torch.sigmoid(closeness * self.gate[0] + self.gate[1])
        mixed: torch.Tensor = head + share * (expert - head)
        return mixed

    def forward(self, normalised: torch.Tensor) -> torch.Tensor:
        """Compute logits, float32 (n, labels)."""
        maps = self.maps(normalised)
        head: torch.Tensor = self.classifier(self.pool(maps[-1]))
        if self.expert is None:
            return head
        return self.mix(head, self.expert(maps[0], maps[1]), to_unit(maps[1].mean((2, 3))))


def to_unit(rows: torch.Tensor) -> torch.Tensor:
    """Scale rows to length 1; rows of zeros stay zeros."""
    return rows / rows.square().sum(1, keepdim=True).add(_TINY).sqrt()


def build_feature_classifier(architecture: Architecture, pretrained: str = "none") -> FeatureClassifier:
    """Create a classifier on the features of a timm backbone.

    Args:
        architecture: What it is built from.
        pretrained: As for ``build_network``; "none" leaves random features, for weights that are loaded afterwards.

    Raises:
        ParamsError: timm has no such backbone, or it has no feature maps.
        ModelError: The weights cannot be loaded.
    """
    backbone, size = architecture.backbone, architecture.input_size
    whole = build_network(backbone, architecture.labels, pretrained, architecture.padding, size)
    levels = (-2, -1) if architecture.expert else (-1,)
    own = {_plain(name): tensor for name, tensor in whole.state_dict().items()}
    try:
        options = feature_options(backbone, architecture.padding, size)
        trunk = timm.create_model(backbone, features_only=True, out_indices=levels, **options).eval()
        with torch.no_grad():
            shapes = [feature_map.shape for feature_map in trunk(torch.zeros(1, 3, *size))]
        trunk.load_state_dict({name: own[_plain(name)] for name in trunk.state_dict()})
    except FAILURES as error:
        raise ParamsError(
            f"params.yaml train.method: head; {backbone!r} has no feature maps: {error}; expected a convolutional "
            "network such as tf_efficientnet_lite0 or mobilenetv2_100, or train.method: full"
        ) from error
    network = FeatureClassifier(
        trunk, tuple(shape[1] for shape in shapes), (shapes[-1][2], shapes[-1][3]), architecture.labels
    )
    cells = [tuple(shape[2:]) for shape in shapes]
    if architecture.expert and cells[1] != tuple(-(-count // 2) for count in cells[0]):
        raise ParamsError(
            f"params.yaml train.expert: true; the last two feature maps of {backbone!r} have {cells[0]} and {cells[1]} "
            "cells; expected half as many rows and columns in the last; set train.expert: false"
        )
    return network


def _plain(name: str) -> str:
    """Name of a tensor, the same in timm's whole network and in its features-only one (stages.1 and stages_1)."""
    return name.replace(".", "_").removeprefix("model_")

"""The attribute network: predicts every factor of a portrait (headwear, light, glasses, mask, skin tone, ...).

A plain convolutional network with one linear head per factor. Trained on rendered portraits, whose factors are known
exactly, it serves several purposes, each with weights of its own:

- ``attributes.safetensors``: its features are the perceptual loss of the autoencoder (Zhang et al., "The Unreasonable
  Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018, arXiv:1801.03924) and the alignment target of the
  denoiser; curation's verifier ``attributes`` uses it too.
- The reward model of reward fine-tuning, which does not ship.
- ``judge.safetensors``: evaluates generated portraits and takes part in no loss.

Images are uint8 (N, H, W, 3) RGB outside the network, and float32 (N, 3, H, W) in -1..1 inside.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional

from pipeline.data.storage import atomic_write
from pipeline.machine.memory_layout import lay_out

Factors = dict[str, tuple[str, ...]]
"""Factor -> its values, in the order of the head's outputs."""
Codes = Mapping[str, NDArray[np.int64]]
"""Factor -> int64 (N,): index of each picture's value; -1 where the picture has no known value."""

WIDTHS = (32, 64, 128, 192)


class AttributeNet(nn.Module):
    """Four stages of two 3x3 convolutions each, average pooling over quadrants, and one linear head per factor.

    Args:
        factors: Factors to predict, and their values.
    """

    def __init__(self, factors: Factors) -> None:
        super().__init__()
        self.factors = factors
        stages, channels = [], 3
        for width in WIDTHS:
            stages.append(nn.Sequential(*_convolution(channels, width, 2), *_convolution(width, width, 1)))
            channels = width
        self.stages = nn.ModuleList(stages)
        self.head = nn.Linear(channels * 4, sum(map(len, factors.values())))

    def features(self, images: Tensor) -> list[Tensor]:
        """Feature maps of all stages, at 1/2, 1/4, 1/8 and 1/16 of the size of ``images``.

        Args:
            images: float32 (N, 3, H, W) in -1..1.

        Returns:
            float32 (N, C, H/2, W/2) ... (N, C, H/16, W/16); C: 32, 64, 128, 192. All values are >= 0 (ReLU).
        """
        maps = []
        for stage in self.stages:
            images = stage(images)
            maps.append(images)
        return maps

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Logits of float32 (N, 3, H, W) images in -1..1: factor -> (N, values)."""
        return self.logits(self.features(images)[-1])

    def logits(self, maps: Tensor) -> dict[str, Tensor]:
        """Logits of the last stage's feature maps (N, 192, h, w): factor -> (N, values)."""
        return split_logits(self.head(self.pool(maps)), self.factors)

    def pool(self, maps: Tensor) -> Tensor:
        """Average feature maps (N, C, h, w) over each quadrant of the picture: (N, 4 C)."""
        return functional.adaptive_avg_pool2d(maps, 2).flatten(1)


def to_input(pixels: NDArray[np.uint8], device: torch.device | None = None) -> Tensor:
    """Convert uint8 (N, H, W, 3) pixels to float32 (N, 3, H, W) in -1..1, channels last in memory, on ``device``."""
    return torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def predict_attributes(
    net: AttributeNet, pixels: NDArray[np.uint8], batch_size: int = 256
) -> dict[str, NDArray[np.int64]]:
    """Predict the most probable value of every factor of uint8 (N, H, W, 3) images: factor -> int64 (N,) indices."""
    predicted: dict[str, list[NDArray[np.int64]]] = {name: [] for name in net.factors}
    with torch.inference_mode():
        for maps in last_features(net, pixels, batch_size):
            for name, logits in net.logits(maps).items():
                predicted[name].append(logits.argmax(1).cpu().numpy())
    return {name: np.concatenate(parts) for name, parts in predicted.items()}


def pooled_features(net: AttributeNet, pixels: NDArray[np.uint8], batch_size: int = 256) -> NDArray[np.float32]:
    """Features of the last stage, averaged over the picture, of uint8 (N, H, W, 3) images: float32 (N, 192)."""
    return np.concatenate([maps.mean((2, 3)).cpu().numpy() for maps in last_features(net, pixels, batch_size)])


def last_features(net: AttributeNet, pixels: NDArray[np.uint8], batch_size: int = 256) -> Iterator[Tensor]:
    """Yield the last stage's feature maps of uint8 (N, H, W, 3) images: one float32 (n, 192, H/16, W/16) per batch."""
    for first in range(0, len(pixels), batch_size):
        with torch.inference_mode():
            maps = net.features(to_input(pixels[first : first + batch_size], net.head.weight.device))[-1]
        yield maps


def split_logits(logits: Tensor, factors: Factors) -> dict[str, Tensor]:
    """Split logits (N, values of all factors) by factor: factor -> (N, its values)."""
    return dict(zip(factors, torch.split(logits, [len(values) for values in factors.values()], dim=1), strict=True))


def save_attribute_net(net: AttributeNet, path: Path) -> None:
    """Write a network's weights; its factors are stored in the file's header."""
    weights = {name: tensor.cpu().contiguous() for name, tensor in net.state_dict().items()}
    with atomic_write(path) as file:
        file.write(safetensors.torch.save(weights, {"factors": json.dumps(net.factors)}))


def load_attribute_net(path: Path) -> AttributeNet:
    """Read a network that `save_attribute_net` wrote."""
    with safe_open(path, "pt") as file:
        factors = {name: tuple(values) for name, values in json.loads(file.metadata()["factors"]).items()}
        net = lay_out(AttributeNet(factors))
        net.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    return net.eval()


def _convolution(channels: int, width: int, stride: int) -> Sequence[nn.Module]:
    return nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()

"""Attribute classifiers: which headwear, light, glasses, mask, skin tone ... a portrait shows.

One plain convolutional network reads every factor at once, a head each. Learned from rendered portraits alone, whose
factors are certain, it serves twice: its feature maps are the perceptual loss of the autoencoder (Zhang et al., "The
Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018), and, learned anew from another seed,
it judges whether generated portraits show what their captions say.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from pipeline.bundled_diffusion.config import AttributeRecipe
from pipeline.bundled_diffusion.training.train_loop import follow

Factors = dict[str, tuple[str, ...]]  # factor -> its values, in the order of a head's outputs
Codes = Mapping[str, NDArray[np.int64]]  # factor -> (N,) index of the value shown; -1 where the factor does not apply

WIDTHS = (32, 64, 128, 192)


class AttributeNet(nn.Module):
    """Four stages of two 3x3 convolutions each, average pooling, a linear head a factor.

    Args:
        factors: What to read.
    """

    def __init__(self, factors: Factors) -> None:
        super().__init__()
        self.factors = factors
        stages, channels = [], 3
        for wide in WIDTHS:
            stages.append(nn.Sequential(*_convolution(channels, wide, 2), *_convolution(wide, wide, 1)))
            channels = wide
        self.stages = nn.ModuleList(stages)
        self.head = nn.Linear(channels * 4, sum(map(len, factors.values())))

    def features(self, images: Tensor) -> list[Tensor]:
        """Feature maps at 1/2, 1/4, 1/8 and 1/16 of the size of ``images``, float32 (N, 3, H, W) in -1..1."""
        maps = []
        for stage in self.stages:
            images = stage(images)
            maps.append(images)
        return maps

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Logits of every factor, each (N, values), of float32 (N, 3, H, W) images in -1..1."""
        return self.read(self.features(images)[-1])

    def read(self, maps: Tensor) -> dict[str, Tensor]:
        """Logits of every factor, each (N, values), of the last feature maps."""
        return split_logits(self.head(self.pool(maps)), self.factors)

    def pool(self, maps: Tensor) -> Tensor:
        """Average the last feature maps (N, channels, h, w) over each quarter of the picture: (N, 4 channels)."""
        return functional.adaptive_avg_pool2d(maps, 2).flatten(1)


def to_input(pixels: NDArray[np.uint8], device: torch.device | None = None) -> Tensor:
    """Turn uint8 (N, H, W, 3) pixels into float32 (N, 3, H, W) in -1..1, channels last in memory, on ``device``."""
    return torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def fit_attributes(
    pixels: NDArray[np.uint8],
    codes: Codes,
    factors: Factors,
    recipe: AttributeRecipe,
    device: torch.device | None = None,
) -> AttributeNet:
    """Learn every factor of uint8 (N, H, W, 3) images by the sum of the factors' cross-entropies.

    Args:
        pixels: The images.
        codes: What they show; -1 where that is not known.
        factors: What the codes stand for.
        recipe: Epochs, rates and seed.
        device: To learn on, where the network stays; None: the CPU.
    """
    torch.manual_seed(recipe.seed)
    device = device or torch.device("cpu")
    net = AttributeNet(factors).to(device).to(memory_format=torch.channels_last)
    rng = np.random.default_rng(recipe.seed)
    steps = recipe.epochs * (len(pixels) // recipe.batch_size)
    optimiser = torch.optim.AdamW(net.parameters(), lr=recipe.learning_rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.learning_rate, total_steps=steps, pct_start=0.15)
    order = np.concatenate([rng.permutation(len(pixels)) for _ in range(recipe.epochs)])
    for step in follow(range(steps), "attributes"):
        rows = np.sort(order[step * recipe.batch_size : (step + 1) * recipe.batch_size])
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
            loss = _loss(net(_jitter(to_input(pixels[rows], device), rng)), codes, rows)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
    return net.eval()


def read_attributes(
    net: AttributeNet, pixels: NDArray[np.uint8], batch_size: int = 256
) -> dict[str, NDArray[np.int64]]:
    """Tell the likeliest value of every factor of uint8 (N, H, W, 3) images: factor -> (N,) indices."""
    found: dict[str, list[NDArray[np.int64]]] = {name: [] for name in net.factors}
    with torch.inference_mode():
        for maps in last_features(net, pixels, batch_size):
            for name, logits in net.read(maps).items():
                found[name].append(logits.argmax(1).cpu().numpy())
    return {name: np.concatenate(parts) for name, parts in found.items()}


def pooled_features(net: AttributeNet, pixels: NDArray[np.uint8], batch_size: int = 256) -> NDArray[np.float32]:
    """What the last stage sees of uint8 (N, H, W, 3) images, averaged over the picture: float32 (N, channels)."""
    return np.concatenate([maps.mean((2, 3)).cpu().numpy() for maps in last_features(net, pixels, batch_size)])


def last_features(net: AttributeNet, pixels: NDArray[np.uint8], batch_size: int = 256) -> Iterator[Tensor]:
    """Yield the last stage's maps of uint8 (N, H, W, 3) images, batch by batch: float32 (n, channels, H/16, W/16)."""
    for first in range(0, len(pixels), batch_size):
        with torch.inference_mode():
            maps = net.features(to_input(pixels[first : first + batch_size], net.head.weight.device))[-1]
        yield maps


def split_logits(logits: Tensor, factors: Factors) -> dict[str, Tensor]:
    """Take logits (N, all values) apart by factor: factor -> (N, its values)."""
    return dict(zip(factors, torch.split(logits, [len(values) for values in factors.values()], dim=1), strict=True))


def save_attributes(net: AttributeNet, path: Path) -> None:
    """Write a classifier's weights, with what it reads in the header."""
    plain = {name: tensor.cpu().contiguous() for name, tensor in net.state_dict().items()}
    save_file(plain, path, {"factors": json.dumps(net.factors)})
    path.chmod(0o644)


def load_attributes(path: Path) -> AttributeNet:
    """Read a classifier that `save_attributes` wrote."""
    with safe_open(path, "pt") as file:
        factors = {name: tuple(values) for name, values in json.loads(file.metadata()["factors"]).items()}
        net = AttributeNet(factors).to(memory_format=torch.channels_last)
        net.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    return net.eval()


def _convolution(channels: int, wide: int, stride: int) -> Sequence[nn.Module]:
    return nn.Conv2d(channels, wide, 3, stride, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU()


def _jitter(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Shift by up to four pixels and mirror half of the batches: what is read must not hang on the place."""
    down, right = rng.integers(-4, 5, 2).tolist()
    images = torch.roll(images, (down, right), (2, 3))
    return images.flip(3) if rng.random() < 0.5 else images


def _loss(logits: Mapping[str, Tensor], codes: Codes, rows: NDArray[np.int64]) -> Tensor:
    losses = [
        functional.cross_entropy(values, torch.from_numpy(codes[name][rows]).to(values.device), ignore_index=-1)
        for name, values in logits.items()
    ]
    return torch.stack(losses).sum()

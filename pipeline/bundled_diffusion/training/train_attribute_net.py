"""Trains an attribute network on rendered portraits: one cross-entropy per factor, AdamW, a one-cycle schedule.

One-cycle: Smith & Topin, "Super-Convergence", arXiv:1708.07120. Pure: reads and writes no file.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.bundled_diffusion.config import AttributeNetConfig
from pipeline.bundled_diffusion.networks.attribute_net import AttributeNet, Codes, Factors, to_input
from pipeline.bundled_diffusion.training.train_loop import with_progress
from pipeline.machine.memory_layout import lay_out


def train_attribute_net(
    pixels: NDArray[np.uint8],
    codes: Codes,
    factors: Factors,
    config: AttributeNetConfig,
    device: torch.device | None = None,
) -> AttributeNet:
    """Train a new network on the sum of the factors' cross-entropies.

    Args:
        pixels: uint8 (N, H, W, 3), RGB.
        codes: Factor -> int64 (N,) index of each picture's value; -1: unknown, and without effect on the loss.
        factors: Factor -> values that the codes index.
        config: Epochs, learning rate, precision and seed.
        device: Device to train on, where the network stays; None: the CPU.
    """
    torch.manual_seed(config.seed)
    device = device or torch.device("cpu")
    net = lay_out(AttributeNet(factors).to(device))
    rng = np.random.default_rng(config.seed)
    steps = config.epochs * (len(pixels) // config.batch_size)
    optimiser = torch.optim.AdamW(net.parameters(), lr=config.learning_rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.learning_rate, total_steps=steps, pct_start=0.15)
    order = np.concatenate([rng.permutation(len(pixels)) for _ in range(config.epochs)])
    for step in with_progress(range(steps), "attribute network"):
        rows = np.sort(order[step * config.batch_size : (step + 1) * config.batch_size])
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
            loss = _loss(net(_augment(to_input(pixels[rows], device), rng)), codes, rows)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
    return net.eval()


def _augment(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Shift a batch (N, 3, H, W) by up to four pixels and mirror half of the batches: position must not matter."""
    down, right = rng.integers(-4, 5, 2).tolist()
    images = torch.roll(images, (down, right), (2, 3))
    return images.flip(3) if rng.random() < 0.5 else images


def _loss(logits: Mapping[str, Tensor], codes: Codes, rows: NDArray[np.int64]) -> Tensor:
    losses = [
        functional.cross_entropy(values, torch.from_numpy(codes[name][rows]).to(values.device), ignore_index=-1)
        for name, values in logits.items()
    ]
    return torch.stack(losses).sum()

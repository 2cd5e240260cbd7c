"""Trains the text encoder to predict the factors of captions, before any picture is used.

Linear heads on its averaged and on its last hidden state must classify every factor of a caption (cross-entropy). They
are dropped afterwards and the encoder is frozen, so that every caption has to be encoded only once. Pure: reads and
writes no file.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextModel

from pipeline.bundled_diffusion.config import TextEncoderConfig
from pipeline.bundled_diffusion.networks.attribute_net import Codes, Factors, split_logits


def train_text_encoder(
    encoder: CLIPTextModel, ids: Tensor, codes: Codes, factors: Factors, config: TextEncoderConfig
) -> float:
    """Train ``encoder`` in place, then freeze it.

    Args:
        encoder: Text encoder, on the CPU.
        ids: int64 (N, tokens): token ids of the captions.
        codes: Factor -> int64 (N,) index of each caption's value; -1: unknown.
        factors: Factor -> values that the codes index.
        config: Steps, learning rate and seed.

    Returns:
        Mean cross-entropy per head and factor in the last step, in nats.
    """
    torch.manual_seed(config.seed)
    heads = nn.ModuleList([nn.Linear(config.width, sum(map(len, factors.values()))) for _ in range(2)])
    weights = [*encoder.parameters(), *heads.parameters()]
    optimiser = torch.optim.AdamW(weights, lr=config.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.learning_rate, total_steps=config.steps)
    rng = np.random.default_rng(config.seed)
    loss = torch.zeros(())
    for _ in range(config.steps):
        rows = rng.integers(0, len(ids), config.batch_size)
        hidden = encoder(ids[rows]).last_hidden_state
        losses = [
            functional.cross_entropy(logits, torch.from_numpy(codes[name][rows]), ignore_index=-1)
            for head, pooled in zip(heads, (hidden.mean(1), hidden[:, -1]), strict=True)
            for name, logits in split_logits(head(pooled), factors).items()
        ]
        loss = torch.stack(losses).mean()
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
    encoder.eval().requires_grad_(False)
    return float(loss.detach())

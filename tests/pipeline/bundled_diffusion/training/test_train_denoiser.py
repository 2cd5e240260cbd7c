from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.bundled_diffusion.networks.denoiser import (
    AlignedDenoiser,
    DenoiserShape,
    build_denoiser,
    build_noise_schedule,
)
from pipeline.bundled_diffusion.training.latent_cache import LatentBatch
from pipeline.bundled_diffusion.training.train_denoiser import denoiser_losses, sample_timesteps

SHAPE = DenoiserShape(latent_channels=4, latent=(8, 4), widths=(16, 32, 32), text_width=32)


def latent_batch(count: int = 6) -> LatentBatch:
    torch.manual_seed(0)
    return LatentBatch(
        latents=torch.randn(count, 4, 8, 4),
        text=torch.randn(count, 5, 32),
        weights=torch.ones(count, 8, 4),
        features=torch.randn(count, 3, 4, 2),
    )


def rng() -> np.random.Generator:
    return np.random.default_rng(4)


def test_timesteps_are_spread_evenly_in_ascending_order() -> None:
    timesteps = sample_timesteps(10, rng())
    assert (timesteps // 100).tolist() == list(range(10))


class PerfectDenoiser(nn.Module):
    """Computes the true velocities from the clean latents, which it is given beforehand."""

    def __init__(self, clean: LatentBatch) -> None:
        super().__init__()
        self.clean, self.schedule = clean, build_noise_schedule()

    def forward(self, noisy: Tensor, timesteps: Tensor, _text: Tensor) -> tuple[Tensor, Tensor]:
        signal = self.schedule.alphas_cumprod[timesteps][:, None, None, None]
        noise = (noisy - signal.sqrt() * self.clean.latents) / (1 - signal).sqrt()
        return signal.sqrt() * noise - (1 - signal).sqrt() * self.clean.latents, self.clean.features


def test_perfect_predictions_have_no_loss() -> None:
    batch = latent_batch()
    losses = denoiser_losses(PerfectDenoiser(batch), build_noise_schedule(), batch, 0.5, rng())
    assert all(float(value) == pytest.approx(0, abs=1e-4) for value in losses.values()), losses


def test_velocity_errors_of_weight_zero_do_not_count() -> None:
    batch, model = latent_batch(), AlignedDenoiser(build_denoiser(SHAPE), 3)
    unweighted = LatentBatch(batch.latents, batch.text, torch.zeros_like(batch.weights), batch.features)
    losses = denoiser_losses(model, build_noise_schedule(), unweighted, 0.0, rng())
    assert losses["loss"].item() == 0
    assert losses["alignment"].item() > 0

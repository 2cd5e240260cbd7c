from __future__ import annotations

import pytest
import torch

from pipeline.bundled_diffusion.networks.denoiser import (
    AlignedDenoiser,
    DenoiserShape,
    build_denoiser,
    build_noise_schedule,
)

SHAPE = DenoiserShape(latent_channels=4, latent=(8, 4), widths=(16, 32, 32), text_width=32)


def test_a_denoiser_predicts_velocities_and_features() -> None:
    torch.manual_seed(0)
    latents, timesteps, text = torch.randn(6, 4, 8, 4), torch.arange(0, 600, 100), torch.randn(6, 5, 32)
    velocity, features = AlignedDenoiser(build_denoiser(SHAPE), 3)(latents, timesteps, text)
    assert velocity.shape == latents.shape
    assert features.shape == (6, 3, 4, 2)


def test_the_noise_schedule_ends_in_pure_noise() -> None:
    assert float(build_noise_schedule().alphas_cumprod[-1]) == pytest.approx(0, abs=1e-7)

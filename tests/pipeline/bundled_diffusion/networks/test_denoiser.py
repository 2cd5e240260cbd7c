from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.bundled_diffusion.networks.denoiser import (
    AlignedDenoiser,
    Batch,
    DenoiserShape,
    build_denoiser,
    build_noise_schedule,
    denoiser_losses,
    draw_times,
)

SHAPE = DenoiserShape(latent_channels=4, latent=(8, 4), widths=(16, 32, 32), text_width=32)


def batch(count: int = 6) -> Batch:
    torch.manual_seed(0)
    return Batch(
        latents=torch.randn(count, 4, 8, 4),
        text=torch.randn(count, 5, 32),
        weights=torch.ones(count, 8, 4),
        features=torch.randn(count, 3, 4, 2),
    )


def test_a_denoiser_gives_velocities_and_features() -> None:
    given = batch()
    velocity, features = AlignedDenoiser(build_denoiser(SHAPE), 3)(given.latents, draw_times(6, rng()), given.text)
    assert velocity.shape == given.latents.shape
    assert features.shape == given.features.shape


def rng() -> np.random.Generator:
    return np.random.default_rng(4)


def test_the_schedule_ends_in_pure_noise() -> None:
    assert float(build_noise_schedule().alphas_cumprod[-1]) == pytest.approx(0, abs=1e-7)


def test_noise_levels_are_spread_evenly_lowest_first() -> None:
    times = draw_times(10, rng())
    assert (times // 100).tolist() == list(range(10))


class Oracle(nn.Module):
    """Knows the clean latents and features."""

    def __init__(self, known: Batch) -> None:
        super().__init__()
        self.known, self.schedule = known, build_noise_schedule()

    def forward(self, noisy: Tensor, times: Tensor, _text: Tensor) -> tuple[Tensor, Tensor]:
        kept = self.schedule.alphas_cumprod[times][:, None, None, None]
        noise = (noisy - kept.sqrt() * self.known.latents) / (1 - kept).sqrt()
        return kept.sqrt() * noise - (1 - kept).sqrt() * self.known.latents, self.known.features


def test_who_knows_the_picture_has_no_loss() -> None:
    losses = denoiser_losses(Oracle(batch()), build_noise_schedule(), batch(), 0.5, rng())
    assert all(float(value) == pytest.approx(0, abs=1e-4) for value in losses.values()), losses


def test_errors_count_where_the_weights_are() -> None:
    given, model = batch(), AlignedDenoiser(build_denoiser(SHAPE), 3)
    nowhere = Batch(given.latents, given.text, torch.zeros_like(given.weights), given.features)
    losses = denoiser_losses(model, build_noise_schedule(), nowhere, 0.0, rng())
    assert losses["loss"].item() == 0
    assert losses["alignment"].item() > 0

"""Trains the denoiser (the teacher of guidance distillation) to predict velocities of noisy latents.

- Velocity prediction: Salimans & Ho, "Progressive Distillation for Fast Sampling of Diffusion Models", ICLR 2022,
  arXiv:2202.00512.
- Min-SNR weights: Hang et al., "Efficient Diffusion Training via Min-SNR Weighting Strategy", ICCV 2023,
  arXiv:2303.09556.
- Stratified timesteps: Kingma et al., "Variational Diffusion Models", NeurIPS 2021, arXiv:2107.00630.
- Dropped captions, for classifier-free guidance: Ho & Salimans, 2022, arXiv:2207.12598.
- Alignment of hidden states with the attribute network's features: Yu et al., "Representation Alignment for
  Generation", ICLR 2025, arXiv:2410.06940. It conveys what a picture shows long before the velocities do.

Reads the cache of latents, features and captions in the work folder; writes denoiser.pt, denoiser.csv and, at the end,
teacher/ in the diffusers layout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional

from pipeline.bundled_diffusion.config import TrainingConfig
from pipeline.bundled_diffusion.networks.denoiser import (
    TIMESTEPS,
    AlignedDenoiser,
    DenoiserShape,
    build_denoiser,
    build_noise_schedule,
    use_plain_attention,
)
from pipeline.bundled_diffusion.networks.widen_channels import widen_denoiser
from pipeline.bundled_diffusion.training.latent_cache import LatentBatch, LatentDataset, load_latent_dataset
from pipeline.bundled_diffusion.training.train_loop import run_loop
from pipeline.machine.memory_layout import lay_out

MIN_SNR = 5.0
"""Gamma of the paper, applied to the signal-to-noise ratio plus one."""


@dataclass(frozen=True, slots=True)
class NoisyLatents:
    """Latents with noise added.

    Attributes:
        timesteps: int64 (N,), 0..999: level of the noise.
        noisy: float32 (N, C, h, w).
        velocity: float32 (N, C, h, w): target of the prediction.
        gain: float32 (N,): min-SNR weight of the squared error of the velocity.
    """

    timesteps: Tensor
    noisy: Tensor
    velocity: Tensor
    gain: Tensor


def sample_timesteps(count: int, rng: np.random.Generator) -> Tensor:
    """Sample timesteps, evenly spread over a batch and ascending: int64 (count,), 0..999."""
    positions = (rng.random() + np.arange(count)) / count
    return torch.from_numpy((positions * TIMESTEPS).astype(np.int64).clip(0, TIMESTEPS - 1))


def add_noise(schedule: DDPMScheduler, latents: Tensor, rng: np.random.Generator) -> NoisyLatents:
    """Add Gaussian noise to float32 (N, C, h, w) latents, at timesteps that `sample_timesteps` returns."""
    count, device = len(latents), latents.device
    timesteps = sample_timesteps(count, rng).to(device)
    stream = torch.Generator(device).manual_seed(int(rng.integers(2**63)))
    noise = torch.randn(latents.shape, generator=stream, device=device)
    noisy = schedule.add_noise(latents, noise, timesteps).contiguous(memory_format=torch.channels_last)
    signal = schedule.alphas_cumprod[timesteps]
    snr_plus_one = 1 / (1 - signal).clamp(min=1e-6)  # SNR itself would give pure noise a weight of 0
    velocity = schedule.get_velocity(latents, noise, timesteps)
    return NoisyLatents(timesteps, noisy, velocity, snr_plus_one.clamp(max=MIN_SNR) / snr_plus_one)


def velocity_losses(predicted: Tensor, target: Tensor, weights: Tensor, gain: Tensor) -> dict[str, Tensor]:
    """Compute weighted squared errors of velocities.

    Args:
        predicted: (N, C, h, w), ordered by timestep.
        target: Likewise.
        weights: float32 (N, h, w): weight of an error at each place.
        gain: float32 (N,): weight of each sample in the loss.

    Returns:
        Scalars: loss; low_noise, middle, high_noise: unweighted by ``gain``, for each third of the timesteps.
    """
    errors = ((predicted - target).square().mean(1) * weights).mean((1, 2))
    low, middle, high = errors.tensor_split(3)
    means = {"low_noise": low.mean(), "middle": middle.mean(), "high_noise": high.mean()}
    return {"loss": (gain * errors).mean(), **means}


def denoiser_losses(
    model: nn.Module, schedule: DDPMScheduler, batch: LatentBatch, alignment_weight: float, rng: np.random.Generator
) -> Mapping[str, Tensor]:
    """Compute the losses of one batch.

    Returns:
        Scalars: those of `velocity_losses`, with the weighted alignment added to loss; alignment, one minus the mean
        cosine similarity of predicted and true features.
    """
    latents = add_noise(schedule, batch.latents, rng)
    velocity, features = model(latents.noisy, latents.timesteps, batch.text)
    losses = velocity_losses(velocity, latents.velocity, batch.weights, latents.gain)
    distance = 1 - functional.cosine_similarity(features, batch.features, dim=1).mean()
    return {**losses, "loss": losses["loss"] + alignment_weight * distance, "alignment": distance}


def denoiser_shape(config: TrainingConfig, dataset: LatentDataset, guidance: int | None = None) -> DenoiserShape:
    """Sizes of a denoiser for the latents of ``dataset``; ``guidance`` as in `DenoiserShape`."""
    channels, height, width = dataset.latents.shape[1:]
    settings = config.denoiser
    return DenoiserShape(
        channels, (height, width), settings.widths, config.text_encoder.width, settings.layers, guidance
    )


def train_denoiser(config: TrainingConfig) -> None:
    """Train the denoiser, or resume."""
    settings = config.denoiser
    torch.manual_seed(settings.training.seed)
    dataset, schedule, start = load_latent_dataset(config), build_noise_schedule(), config.start_folder("denoiser")
    device, denoiser = dataset.latents.device, build_denoiser(denoiser_shape(config, dataset))
    if start is not None:
        earlier = UNet2DConditionModel.from_pretrained(start / "unet", dtype=torch.float32, low_cpu_mem_usage=False)
        denoiser = widen_denoiser(earlier, denoiser)
    model = lay_out(AlignedDenoiser(denoiser, dataset.features.shape[1]).to(device))
    use_plain_attention(model.denoiser)

    def step_loss(_step: int, rng: np.random.Generator) -> Mapping[str, Tensor]:
        batch = dataset.sample(settings.training.batch_size, rng)
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
            return denoiser_losses(model, schedule, batch, settings.alignment_weight, rng)

    trained = run_loop(nn.ModuleDict({"model": model}), step_loss, settings.training, config.work / "denoiser")["model"]
    assert isinstance(trained, AlignedDenoiser)
    trained.denoiser.cpu().half().save_pretrained(config.work / "teacher")

"""The denoiser: a UNet that reads its caption through cross-attention and, pooled, through its time embedding.

It predicts velocities (Salimans & Ho, "Progressive Distillation", ICLR 2022) with min-SNR weights (Hang et al.,
"Efficient Diffusion Training via Min-SNR Weighting Strategy", ICCV 2023) on a schedule that ends in pure noise (Lin et
al., "Common Diffusion Noise Schedules and Sample Steps are Flawed", WACV 2024); captions are dropped now and then for
classifier-free guidance (Ho & Salimans, 2022). Its hidden states are aligned with the features of an attribute network
(Yu et al., "Representation Alignment for Generation", ICLR 2025), which teaches a young denoiser what is in a picture
long before the velocities do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional

MIN_SNR = 5.0
TIMES = 1000


@dataclass(frozen=True, slots=True)
class DenoiserShape:
    """Sizes of the denoiser.

    Attributes:
        latent: (height, width).
        guidance: Length of the embedding that tells it how strongly it is guided; None: it is not told.
    """

    latent_channels: int
    latent: tuple[int, int]
    widths: tuple[int, ...]
    text_width: int
    layers: int = 1
    guidance: int | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step learns from.

    Attributes:
        latents: float32 (N, C, h, w), scaled to unit variance.
        text: float32 (N, tokens, width).
        weights: float32 (N, h, w), of mean 1: how much an error counts at each place.
        features: float32 (N, F, h/2, w/2): what the attribute network sees in the clean portraits.
    """

    latents: Tensor
    text: Tensor
    weights: Tensor
    features: Tensor


class AlignedDenoiser(nn.Module):
    """A denoiser and the head that reads the attribute network's features out of its second finest level."""

    def __init__(self, denoiser: UNet2DConditionModel, features: int) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.head = nn.Sequential(nn.Conv2d(denoiser.config.block_out_channels[-2], 256, 1), nn.SiLU())
        self.out = nn.Conv2d(256, features, 1)
        self._seen: list[Tensor] = []
        denoiser.up_blocks[-3].register_forward_hook(lambda _module, _given, hidden: self._seen.append(hidden))

    def forward(self, noisy: Tensor, times: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """Velocity (N, C, h, w) and features (N, F, h/2, w/2) of noisy latents."""
        self._seen.clear()
        velocity = self.denoiser(noisy, times, text, return_dict=False)[0]
        return velocity, self.out(self.head(self._seen.pop()))


def build_denoiser(shape: DenoiserShape) -> UNet2DConditionModel:
    """Make a randomly initialised denoiser: attention at the coarsest level alone, where it costs little."""
    finer = len(shape.widths) - 1
    return UNet2DConditionModel(
        sample_size=shape.latent,
        in_channels=shape.latent_channels,
        out_channels=shape.latent_channels,
        down_block_types=(*("DownBlock2D",) * finer, "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", *("UpBlock2D",) * finer),
        block_out_channels=shape.widths,
        layers_per_block=shape.layers,
        norm_num_groups=16,
        cross_attention_dim=shape.text_width,
        attention_head_dim=4,
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        encoder_hid_dim=shape.text_width,
        resnet_time_scale_shift="scale_shift",
        time_cond_proj_dim=shape.guidance,
        use_linear_projection=True,
    ).to(memory_format=torch.channels_last)


def build_noise_schedule() -> DDPMScheduler:
    """A cosine schedule that ends in pure noise, so that sampling may start from it."""
    return DDPMScheduler(
        num_train_timesteps=TIMES,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        clip_sample=False,
        timestep_spacing="trailing",
        steps_offset=1,  # what Stable Diffusion pipelines expect to read; trailing steps do not use it
    )


def draw_times(count: int, rng: np.random.Generator) -> Tensor:
    """Draw noise levels evenly over the batch (Kingma et al., "Variational Diffusion Models", 2021), low ones first."""
    return torch.from_numpy(((rng.random() + np.arange(count)) / count * TIMES).astype(np.int64).clip(0, TIMES - 1))


@dataclass(frozen=True, slots=True)
class Noised:
    """Latents with noise on them.

    Attributes:
        times: int64 (N,): how much, 0..999.
        noisy: float32 (N, C, h, w).
        velocity: float32 (N, C, h, w): what a denoiser should see in them.
        gain: float32 (N,): min-SNR weight of a velocity's error.
    """

    times: Tensor
    noisy: Tensor
    velocity: Tensor
    gain: Tensor


def add_noise(schedule: DDPMScheduler, latents: Tensor, rng: np.random.Generator) -> Noised:
    """Add noise to latents (N, C, h, w) at levels of `draw_times`."""
    count, device = len(latents), latents.device
    times = draw_times(count, rng).to(device)
    stream = torch.Generator(device).manual_seed(int(rng.integers(2**63)))
    noise = torch.randn(latents.shape, generator=stream, device=device)
    noisy = schedule.add_noise(latents, noise, times).contiguous(memory_format=torch.channels_last)
    kept = schedule.alphas_cumprod[times]
    gain = 1 / (1 - kept).clamp(min=1e-6)  # the signal-to-noise ratio + 1: a velocity's error is never weightless
    return Noised(times, noisy, schedule.get_velocity(latents, noise, times), gain.clamp(max=MIN_SNR) / gain)


def velocity_losses(found: Tensor, wanted: Tensor, weights: Tensor, gain: Tensor) -> dict[str, Tensor]:
    """Errors of velocities (N, C, h, w) sorted by noise, ``weights`` (N, h, w): loss; low_noise, middle, high_noise."""
    errors = ((found - wanted).square().mean(1) * weights).mean((1, 2))
    low, middle, high = errors.tensor_split(3)
    means = {"low_noise": low.mean(), "middle": middle.mean(), "high_noise": high.mean()}
    return {"loss": (gain * errors).mean(), **means}


def denoiser_losses(
    model: nn.Module, schedule: DDPMScheduler, batch: Batch, alignment: float, rng: np.random.Generator
) -> Mapping[str, Tensor]:
    """Losses of one batch: those of the velocity; the alignment, 0 when perfect."""
    noised = add_noise(schedule, batch.latents, rng)
    velocity, seen = model(noised.noisy, noised.times, batch.text)
    losses = velocity_losses(velocity, noised.velocity, batch.weights, noised.gain)
    distance = 1 - functional.cosine_similarity(seen, batch.features, dim=1).mean()
    return {**losses, "loss": losses["loss"] + alignment * distance, "alignment": distance}

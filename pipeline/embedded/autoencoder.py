"""The autoencoder: pixels to latents at an eighth of the size, and back.

AutoencoderKL (Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models", CVPR 2022) without its
attention, learned on an absolute difference, a small divergence, and a perceptual distance in the feature maps of an
attribute classifier, so that what tells a helmet from a cap survives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pipeline.embedded.attributes import AttributeNet, load_attributes, to_input
from pipeline.embedded.loop import run_loop
from pipeline.embedded.recipe import LoopRecipe, Recipe

DIVERGENCE = 1e-6


def build_autoencoder(latent_channels: int, widths: tuple[int, ...]) -> AutoencoderKL:
    """Make a randomly initialised autoencoder that halves the size ``len(widths) - 1`` times."""
    levels = len(widths)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=widths,
        layers_per_block=1,
        latent_channels=latent_channels,
        norm_num_groups=8,
        mid_block_add_attention=False,
    ).to(memory_format=torch.channels_last)


@dataclass(frozen=True, slots=True)
class Critic:
    """The network whose features must survive, and how much their distance counts beside the absolute difference."""

    network: AttributeNet
    weight: float
    precision: str


def autoencoder_losses(
    autoencoder: AutoencoderKL, critic: Critic | None, images: Tensor, rng: np.random.Generator
) -> Mapping[str, Tensor]:
    """Losses of float32 (N, 3, H, W) images in -1..1: loss, absolute, divergence and perceptual."""
    posterior = autoencoder.encode(images).latent_dist
    decoded = autoencoder.decode(posterior.sample(torch.Generator().manual_seed(int(rng.integers(2**31))))).sample
    absolute = functional.l1_loss(decoded, images)
    divergence = posterior.kl().mean()
    loss, perceptual = absolute + DIVERGENCE * divergence, torch.zeros(())
    if critic is not None:
        perceptual = _perceptual(critic.network, *_displace(decoded, images, rng))
        loss = loss + critic.weight * perceptual
    return {"loss": loss, "absolute": absolute, "divergence": divergence, "perceptual": perceptual}


def learn_autoencoder(recipe: Recipe, pixels: NDArray[np.uint8]) -> None:
    """Learn the autoencoder from uint8 (N, H, W, 3) portraits.

    Roughly first; then finely, with the perceptual loss; at last the decoder alone, which changes no latent. With
    ``recipe.start`` the rough phase is that model's. Writes work/vae/, its latents scaled to unit variance; goes on
    where a killed run stood.
    """
    how, work = recipe.autoencoder, recipe.work
    torch.manual_seed(how.rough.seed)
    if recipe.start is None:
        autoencoder = build_autoencoder(how.latent_channels, how.widths)
        autoencoder = _phase(autoencoder, None, pixels, how.rough, work / "autoencoder-rough")
    else:
        autoencoder = AutoencoderKL.from_pretrained(recipe.start / "vae", dtype=torch.float32, low_cpu_mem_usage=False)
        autoencoder.to(memory_format=torch.channels_last)
    network = load_attributes(work / "attributes.safetensors").requires_grad_(False)
    critic = Critic(network, how.perceptual, how.precision)
    autoencoder = _phase(autoencoder, critic, pixels, how.fine, work / "autoencoder-fine")
    for part in (autoencoder.encoder, autoencoder.quant_conv):
        part.requires_grad_(False)
    autoencoder = _phase(autoencoder, critic, pixels, how.decoder, work / "autoencoder-decoder")
    spread = encode(autoencoder, pixels[: recipe.world.held_out]).astype(np.float32).std()
    autoencoder.register_to_config(scaling_factor=float(1 / spread))
    autoencoder.half().save_pretrained(work / "vae")


def _phase(
    autoencoder: AutoencoderKL, critic: Critic | None, pixels: NDArray[np.uint8], recipe: LoopRecipe, work: Path
) -> AutoencoderKL:
    def step_loss(_step: int, rng: np.random.Generator) -> Mapping[str, Tensor]:
        images = to_input(pixels[np.sort(rng.integers(0, len(pixels), recipe.batch_size))])
        with torch.autocast("cpu", torch.bfloat16, enabled=critic is not None and critic.precision == "bfloat16"):
            return autoencoder_losses(autoencoder, critic, images, rng)

    learned = run_loop(nn.ModuleDict({"autoencoder": autoencoder}), step_loss, recipe, work)["autoencoder"]
    return learned.requires_grad_(True)


def encode(autoencoder: AutoencoderKL, pixels: NDArray[np.uint8], batch_size: int = 64) -> NDArray[np.float16]:
    """Means of the latents of uint8 (N, H, W, 3) images: float16 (N, C, H/8, W/8), unscaled."""
    with torch.inference_mode():
        parts = [
            autoencoder.encode(to_input(pixels[first : first + batch_size])).latent_dist.mean.half().numpy()
            for first in range(0, len(pixels), batch_size)
        ]
    return np.concatenate(parts)


def decode(autoencoder: AutoencoderKL, latents: NDArray[np.float16], batch_size: int = 32) -> NDArray[np.uint8]:
    """Turn unscaled latents back into uint8 (N, H, W, 3) pixels."""
    parts = []
    with torch.inference_mode():
        for first in range(0, len(latents), batch_size):
            images = autoencoder.decode(torch.from_numpy(latents[first : first + batch_size]).float()).sample
            parts.append(images.add(1).mul(127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy())
    return np.concatenate(parts)


def _perceptual(judge: AttributeNet, decoded: Tensor, images: Tensor) -> Tensor:
    with torch.no_grad():
        wanted = judge.features(images)
    distances = [
        (functional.normalize(found, dim=1) - functional.normalize(want, dim=1)).square().sum(1).mean()
        for found, want in zip(judge.features(decoded), wanted, strict=True)
    ]
    return torch.stack(distances).sum()


def _displace(decoded: Tensor, images: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Shift and mirror both alike: strided features always read at the same places leave a grid in what is decoded."""
    shift = rng.integers(0, 16, 2).tolist()
    both = [pictures.roll(shift, (2, 3)) for pictures in (decoded, images)]
    first, second = (pictures.flip(3) for pictures in both) if rng.random() < 0.5 else both
    return first, second

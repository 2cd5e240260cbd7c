"""Learns the denoiser, in as many processes as the recipe says (`team`).

Reads the cache of latents, features and texts in the work folder; writes denoiser.pt (the whole state, every two
minutes), denoiser.csv (every figure of every step) and, at the end, teacher/ in the diffusers layout.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn

from pipeline.bundled_diffusion.config import Recipe
from pipeline.bundled_diffusion.latent_cache import read_cache
from pipeline.bundled_diffusion.networks.denoiser import (
    AlignedDenoiser,
    Batch,
    DenoiserShape,
    build_denoiser,
    build_noise_schedule,
    denoiser_losses,
)
from pipeline.bundled_diffusion.networks.widen_channels import widen_denoiser
from pipeline.bundled_diffusion.portrait_dataset import head_weights, world_prompts
from pipeline.bundled_diffusion.training.train_loop import open_device, run_loop


class Cache:
    """Everything a step may draw, in the device's memory, as float16; on a CPU texts stay on the disk.

    Args:
        recipe: Sizes, and the share of captions that are dropped.
        scale: What latents are multiplied by.
        device: Where batches are wanted.
    """

    def __init__(self, recipe: Recipe, scale: float, device: torch.device) -> None:
        how = recipe.denoiser
        prompts = world_prompts(recipe.policies, recipe.world.policies, recipe.world.seed)
        self.count = len(prompts) - recipe.world.held_out
        latents, features = read_cache(recipe.work / "world", self.count)
        texts, empty = (np.load(recipe.work / f"{name}.npy", mmap_mode="c") for name in ("text", "empty"))
        weights = head_weights(prompts[: self.count], latents.shape[2:], how.head_weight, how.eye_weight)
        self._scale, self._dropout, self._device = scale, how.caption_dropout, device
        self.latents, self.features, self._texts, empty, self._weights = (
            torch.from_numpy(values).to(device) for values in (latents, features, texts, empty, weights)
        )
        self.empty = empty.float()

    def draw(self, count: int, rng: np.random.Generator) -> Batch:
        """Draw portraits, some of them without their caption."""
        rows = torch.from_numpy(rng.integers(0, self.count, count)).to(self._device)
        dropped = torch.from_numpy(rng.random(count) < self._dropout).to(self._device)
        return Batch(
            latents=self.latents[rows].float() * self._scale,
            text=torch.where(dropped[:, None, None], self.empty, self._texts[rows].float()),
            weights=self._weights[rows],
            features=self.features[rows].float(),
        )


def open_cache(recipe: Recipe) -> Cache:
    """Open the work folder's cache on the recipe's device."""
    scale = float(AutoencoderKL.load_config(recipe.work / "autoencoder")["scaling_factor"])
    return Cache(recipe, scale, open_device(recipe.device))


def shape_of(recipe: Recipe, cache: Cache, guidance: int | None = None) -> DenoiserShape:
    """Sizes of a denoiser of these latents; ``guidance``: as in `DenoiserShape`."""
    channels, height, width = cache.latents.shape[1:]
    how = recipe.denoiser
    return DenoiserShape(channels, (height, width), how.widths, recipe.text.width, how.layers, guidance)


def plain_attention(model: UNet2DConditionModel) -> None:
    """On a CPU, have attention computed as plain products: there faster to learn than the fused kernel."""
    if model.device.type == "cpu":
        model.set_attn_processor(AttnProcessor())


def learn_denoiser(recipe: Recipe) -> None:
    """Learn the denoiser from the work folder's cache; goes on where a killed run stood."""
    torch.manual_seed(recipe.denoiser.learning.seed)
    cache, schedule, begun = open_cache(recipe), build_noise_schedule(), recipe.begins_with("denoiser")
    device, denoiser = cache.latents.device, build_denoiser(shape_of(recipe, cache))
    if begun is not None:
        taken = UNet2DConditionModel.from_pretrained(begun / "unet", dtype=torch.float32, low_cpu_mem_usage=False)
        denoiser = widen_denoiser(taken, denoiser)
    model = AlignedDenoiser(denoiser, cache.features.shape[1]).to(device).to(memory_format=torch.channels_last)
    plain_attention(model.denoiser)

    def step_loss(_step: int, rng: np.random.Generator) -> Mapping[str, Tensor]:
        batch = cache.draw(recipe.denoiser.learning.batch_size, rng)
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.denoiser.precision == "bfloat16"):
            return denoiser_losses(model, schedule, batch, recipe.denoiser.alignment, rng)

    learned = run_loop(nn.ModuleDict({"model": model}), step_loss, recipe.denoiser.learning, recipe.work / "denoiser")
    result = learned["model"]
    assert isinstance(result, AlignedDenoiser)
    result.denoiser.cpu().half().save_pretrained(recipe.work / "teacher")

"""Learns the denoiser, in as many processes as the recipe says (`team`).

Reads the cache of latents, features and texts in the work folder; writes denoiser.pt (the whole state, every two
minutes), denoiser.csv (every figure of every step) and, at the end, unet/ in the diffusers layout.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn

from pipeline.embedded.cache import read_cache
from pipeline.embedded.diffusion import (
    AlignedDenoiser,
    Batch,
    DenoiserShape,
    build_denoiser,
    build_noise_schedule,
    denoiser_losses,
)
from pipeline.embedded.loop import open_device, run_loop
from pipeline.embedded.recipe import Recipe
from pipeline.embedded.world import head_weights, world_prompts


class Cache:
    """Everything a step may draw, in the device's memory, as float16; on a CPU texts stay on the disk.

    Args:
        recipe: Sizes, and the share of captions that are dropped.
        scale: What latents are multiplied by.
        device: Where batches are wanted.
    """

    def __init__(self, recipe: Recipe, scale: float, device: torch.device) -> None:
        prompts = world_prompts(recipe.policies, recipe.world.policies, recipe.world.seed)
        self.count = len(prompts) - recipe.world.held_out
        latents, features = read_cache(recipe.work / "world", self.count)
        texts, empty = (np.load(recipe.work / f"{name}.npy", mmap_mode="c") for name in ("text", "empty"))
        weights = head_weights(prompts[: self.count], latents.shape[2:], recipe.denoiser.head_weight)
        self._scale, self._dropout, self._device = scale, recipe.denoiser.caption_dropout, device
        self.latents, self.features, self._texts, self._empty, self._weights = (
            torch.from_numpy(values).to(device) for values in (latents, features, texts, empty, weights)
        )

    def draw(self, count: int, rng: np.random.Generator) -> Batch:
        """Draw portraits, some of them without their caption."""
        rows = torch.from_numpy(rng.integers(0, self.count, count)).to(self._device)
        dropped = torch.from_numpy(rng.random(count) < self._dropout).to(self._device)
        return Batch(
            latents=self.latents[rows].float() * self._scale,
            text=torch.where(dropped[:, None, None], self._empty, self._texts[rows]).float(),
            weights=self._weights[rows],
            features=self.features[rows].float(),
        )


def learn_denoiser(recipe: Recipe) -> None:
    """Learn the denoiser from the work folder's cache; goes on where a killed run stood."""
    torch.manual_seed(recipe.denoiser.learning.seed)
    scale = float(AutoencoderKL.load_config(recipe.work / "vae")["scaling_factor"])
    device, begun = open_device(recipe.device), recipe.begins_with("denoiser")
    cache, schedule = Cache(recipe, scale, device), build_noise_schedule()
    height, width = cache.latents.shape[2:]
    shape = DenoiserShape(
        cache.latents.shape[1], (height, width), recipe.denoiser.widths, recipe.text.width, recipe.denoiser.layers
    )
    denoiser = build_denoiser(shape)
    if begun is not None:
        taken = UNet2DConditionModel.from_pretrained(begun / "unet", dtype=torch.float32, low_cpu_mem_usage=False)
        denoiser.load_state_dict(taken.state_dict())
    model = AlignedDenoiser(denoiser, cache.features.shape[1]).to(device).to(memory_format=torch.channels_last)
    if device.type == "cpu":  # plain products: there faster to learn than the fused kernel
        model.denoiser.set_attn_processor(AttnProcessor())

    def step_loss(_step: int, rng: np.random.Generator) -> Mapping[str, Tensor]:
        batch = cache.draw(recipe.denoiser.learning.batch_size, rng)
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.denoiser.precision == "bfloat16"):
            return denoiser_losses(model, schedule, batch, recipe.denoiser.alignment, rng)

    learned = run_loop(nn.ModuleDict({"model": model}), step_loss, recipe.denoiser.learning, recipe.work / "denoiser")
    result = learned["model"]
    assert isinstance(result, AlignedDenoiser)
    result.denoiser.cpu().half().save_pretrained(recipe.work / "unet")

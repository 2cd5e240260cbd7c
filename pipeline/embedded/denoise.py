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
from pipeline.embedded.loop import run_loop
from pipeline.embedded.recipe import Recipe
from pipeline.embedded.world import head_weights, world_prompts


class Cache:
    """Everything a step may draw, in memory, as float16.

    Args:
        recipe: Sizes, and the share of captions that are dropped.
        scale: What latents are multiplied by.
    """

    def __init__(self, recipe: Recipe, scale: float) -> None:
        prompts = world_prompts(recipe.policies, recipe.world.policies, recipe.world.seed)
        self.count = len(prompts) - recipe.world.held_out
        self.latents, self.features = read_cache(recipe.work / "world", self.count)
        self._scale, self._dropout = scale, recipe.denoiser.caption_dropout
        self._texts = np.load(recipe.work / "text.npy", mmap_mode="r")
        self._empty = np.load(recipe.work / "empty.npy")
        shape = self.latents.shape[2:]
        self._weights = head_weights(prompts[: self.count], (shape[0], shape[1]), recipe.denoiser.head_weight)

    def draw(self, count: int, rng: np.random.Generator) -> Batch:
        """Draw portraits, some of them without their caption."""
        rows = np.sort(rng.integers(0, self.count, count))
        rng.shuffle(rows)
        texts = self._texts[rows]
        texts[rng.random(count) < self._dropout] = self._empty
        return Batch(
            latents=torch.from_numpy(self.latents[rows]).float() * self._scale,
            text=torch.from_numpy(texts).float(),
            weights=torch.from_numpy(self._weights[rows]),
            features=torch.from_numpy(self.features[rows]).float(),
        )


def learn_denoiser(recipe: Recipe) -> None:
    """Learn the denoiser from the work folder's cache; goes on where a killed run stood."""
    torch.manual_seed(recipe.denoiser.learning.seed)
    scale = float(AutoencoderKL.load_config(recipe.work / "vae")["scaling_factor"])
    cache, schedule = Cache(recipe, scale), build_noise_schedule()
    height, width = cache.latents.shape[2:]
    shape = DenoiserShape(
        cache.latents.shape[1], (height, width), recipe.denoiser.widths, recipe.text.width, recipe.denoiser.layers
    )
    denoiser = build_denoiser(shape)
    if recipe.start is not None:
        begun = UNet2DConditionModel.from_pretrained(
            recipe.start / "unet", dtype=torch.float32, low_cpu_mem_usage=False
        )
        denoiser.load_state_dict(begun.state_dict())
    model = AlignedDenoiser(denoiser, cache.features.shape[1]).to(memory_format=torch.channels_last)
    model.denoiser.set_attn_processor(AttnProcessor())  # plain products: on CPU faster to learn than the fused kernel

    def step_loss(_step: int, rng: np.random.Generator) -> Mapping[str, Tensor]:
        batch = cache.draw(recipe.denoiser.learning.batch_size, rng)
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.denoiser.precision == "bfloat16"):
            return denoiser_losses(model, schedule, batch, recipe.denoiser.alignment, rng)

    learned = run_loop(nn.ModuleDict({"model": model}), step_loss, recipe.denoiser.learning, recipe.work / "denoiser")
    result = learned["model"]
    assert isinstance(result, AlignedDenoiser)
    result.denoiser.half().save_pretrained(recipe.work / "unet")

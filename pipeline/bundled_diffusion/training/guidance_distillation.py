"""Teaches a denoiser how strongly it is guided: one look a step where classifier-free guidance takes two.

The first stage of Meng et al., "On Distillation of Guided Diffusion Models" (CVPR 2023): a copy of the denoiser learns
to give at once what the denoiser gives with guidance, at any strength of a range. It is told the strength as a part of
its time embedding, where ``StableDiffusionPipeline`` puts its ``guidance_scale`` if a UNet asks for it.

Reads the cache and teacher/ of the work folder; writes guidance.pt, guidance.csv and, at the end, guided/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor, nn

from pipeline.bundled_diffusion.config import Recipe
from pipeline.bundled_diffusion.networks.denoiser import (
    Batch,
    add_noise,
    build_denoiser,
    build_noise_schedule,
    velocity_losses,
)
from pipeline.bundled_diffusion.networks.widen_channels import widen_denoiser
from pipeline.bundled_diffusion.training.train_denoiser import open_cache, plain_attention, shape_of
from pipeline.bundled_diffusion.training.train_loop import run_loop

EMBEDDING = 256


def embed_guidance(strengths: Tensor, length: int) -> Tensor:
    """Embed guidance scales (N,) as the pipeline does: float32 (N, length)."""
    embed = StableDiffusionPipeline.get_guidance_scale_embedding
    embedded: Tensor = embed(None, strengths - 1, embedding_dim=length)
    return embedded


def draw_strengths(bounds: tuple[float, float], count: int, rng: np.random.Generator) -> Tensor:
    """Draw guidance scales between ``bounds``, even in their logarithms: float32 (count,)."""
    weakest, strongest = np.log(bounds)
    return torch.from_numpy(np.exp(rng.uniform(weakest, strongest, count))).float()


@dataclass(frozen=True, slots=True)
class Pair:
    """Who learns from whom.

    Attributes:
        student: Told the guidance.
        teacher: Not told; asked twice.
        empty: float32 (tokens, width): the text that asks for nothing.
    """

    student: UNet2DConditionModel
    teacher: UNet2DConditionModel
    empty: Tensor


def guided_losses(
    pair: Pair, schedule: DDPMScheduler, batch: Batch, strengths: Tensor, rng: np.random.Generator
) -> Mapping[str, Tensor]:
    """Losses of one batch: how far the student is from its guided teacher at the guidance scales ``strengths`` (N,)."""
    noised = add_noise(schedule, batch.latents, rng)
    with torch.no_grad():
        texts = torch.cat([pair.empty.expand_as(batch.text), batch.text])
        both = pair.teacher(noised.noisy.repeat(2, 1, 1, 1), noised.times.repeat(2), texts, return_dict=False)[0]
        free, asked = both.float().chunk(2)
        wanted = free + strengths[:, None, None, None] * (asked - free)
    told = embed_guidance(strengths, pair.student.config.time_cond_proj_dim)
    found = pair.student(noised.noisy, noised.times, batch.text, timestep_cond=told, return_dict=False)[0]
    return velocity_losses(found, wanted, batch.weights, noised.gain)


def learn_guidance(recipe: Recipe) -> None:
    """Teach a copy of the denoiser; goes on where a killed run stood."""
    how = recipe.denoiser
    torch.manual_seed(how.guided.seed)
    cache, schedule = open_cache(recipe), build_noise_schedule()
    device = cache.latents.device
    taken = UNet2DConditionModel.from_pretrained(recipe.work / "teacher", dtype=torch.float32, low_cpu_mem_usage=False)
    teacher = taken.to(device).to(memory_format=torch.channels_last).requires_grad_(False)
    student = widen_denoiser(taken, build_denoiser(shape_of(recipe, cache, EMBEDDING)))
    student.to(device).to(memory_format=torch.channels_last)
    for model in (teacher, student):
        plain_attention(model)
    pair = Pair(student, teacher, cache.empty)

    def step_loss(_step: int, rng: np.random.Generator) -> Mapping[str, Tensor]:
        batch = cache.draw(how.guided.batch_size, rng)
        strengths = draw_strengths(how.guidance, how.guided.batch_size, rng).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=how.precision == "bfloat16"):
            return guided_losses(pair, schedule, batch, strengths, rng)

    learned = run_loop(nn.ModuleDict({"student": student}), step_loss, how.guided, recipe.work / "guidance")["student"]
    assert isinstance(learned, UNet2DConditionModel)
    learned.cpu().half().save_pretrained(recipe.work / "guided")

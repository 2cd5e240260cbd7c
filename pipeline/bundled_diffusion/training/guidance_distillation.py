"""Guidance distillation: a denoiser that needs one evaluation per sampling step instead of two.

First stage of Meng et al., "On Distillation of Guided Diffusion Models", CVPR 2023, arXiv:2210.03142. A copy of the
denoiser (the student) learns to predict what the teacher predicts with classifier-free guidance, at any guidance scale
of a range. It takes the scale as a part of its time embedding, where ``StableDiffusionPipeline`` passes its
``guidance_scale`` to UNets that have such an input.

Reads the cache and teacher/ of the work folder; writes distillation.pt, distillation.csv and, at the end, distilled/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor, nn

from pipeline.bundled_diffusion.config import TrainingConfig
from pipeline.bundled_diffusion.networks.denoiser import build_denoiser, build_noise_schedule, use_plain_attention
from pipeline.bundled_diffusion.networks.widen_channels import widen_denoiser
from pipeline.bundled_diffusion.training.latent_cache import LatentBatch, load_latent_dataset
from pipeline.bundled_diffusion.training.train_denoiser import add_noise, denoiser_shape, velocity_losses
from pipeline.bundled_diffusion.training.train_loop import run_loop
from pipeline.machine.memory_layout import lay_out

EMBEDDING_LENGTH = 256


def embed_guidance(scales: Tensor, length: int) -> Tensor:
    """Embed guidance scales (N,) as ``StableDiffusionPipeline`` does: float32 (N, length)."""
    embed = StableDiffusionPipeline.get_guidance_scale_embedding
    embedding: Tensor = embed(None, scales - 1, embedding_dim=length)
    return embedding


def sample_guidance_scales(bounds: tuple[float, float], count: int, rng: np.random.Generator) -> Tensor:
    """Sample guidance scales between ``bounds``, uniform in their logarithms: float32 (count,)."""
    smallest, largest = np.log(bounds)
    return torch.from_numpy(np.exp(rng.uniform(smallest, largest, count))).float()


@dataclass(frozen=True, slots=True)
class DistillationModels:
    """Models of guidance distillation.

    Attributes:
        student: Denoiser in training; takes the guidance scale as input.
        teacher: Denoiser that guidance evaluates twice; frozen.
        empty: float32 (tokens, width): embedding of the empty caption.
    """

    student: UNet2DConditionModel
    teacher: UNet2DConditionModel
    empty: Tensor


def distillation_losses(
    models: DistillationModels, schedule: DDPMScheduler, batch: LatentBatch, scales: Tensor, rng: np.random.Generator
) -> Mapping[str, Tensor]:
    """Compute the losses of one batch: errors of the student against the guided teacher.

    Args:
        models: Student and teacher.
        schedule: Noise schedule.
        batch: Latents and captions.
        scales: float32 (N,): guidance scales, >= 1.
        rng: Generator of the step.

    Returns:
        Scalars, as `velocity_losses` returns them.
    """
    latents = add_noise(schedule, batch.latents, rng)
    with torch.no_grad():
        texts = torch.cat([models.empty.expand_as(batch.text), batch.text])
        noisy, timesteps = latents.noisy.repeat(2, 1, 1, 1), latents.timesteps.repeat(2)
        both = models.teacher(noisy, timesteps, texts, return_dict=False)[0]
        unconditional, conditional = both.float().chunk(2)
        target = unconditional + scales[:, None, None, None] * (conditional - unconditional)
    guidance = embed_guidance(scales, models.student.config.time_cond_proj_dim)
    inputs = (latents.noisy, latents.timesteps, batch.text)
    predicted = models.student(*inputs, timestep_cond=guidance, return_dict=False)[0]
    return velocity_losses(predicted, target, batch.weights, latents.gain)


def train_distilled_denoiser(config: TrainingConfig) -> None:
    """Distil the teacher into a denoiser that takes the guidance scale as input, or resume."""
    settings, loop = config.denoiser, config.denoiser.distillation
    torch.manual_seed(loop.seed)
    dataset, schedule = load_latent_dataset(config), build_noise_schedule()
    device = dataset.latents.device
    trained = UNet2DConditionModel.from_pretrained(
        config.work / "teacher", dtype=torch.float32, low_cpu_mem_usage=False
    )
    teacher = lay_out(trained.to(device)).requires_grad_(False)
    student = widen_denoiser(trained, build_denoiser(denoiser_shape(config, dataset, EMBEDDING_LENGTH)))
    lay_out(student.to(device))
    for model in (teacher, student):
        use_plain_attention(model)
    models = DistillationModels(student, teacher, dataset.empty)

    def step_loss(_step: int, rng: np.random.Generator) -> Mapping[str, Tensor]:
        batch = dataset.sample(loop.batch_size, rng)
        scales = sample_guidance_scales(settings.guidance_range, loop.batch_size, rng).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
            return distillation_losses(models, schedule, batch, scales, rng)

    distilled = run_loop(nn.ModuleDict({"student": student}), step_loss, loop, config.work / "distillation")["student"]
    assert isinstance(distilled, UNet2DConditionModel)
    distilled.cpu().half().save_pretrained(config.work / "distilled")

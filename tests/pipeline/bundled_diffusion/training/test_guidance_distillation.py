from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.bundled_diffusion.networks.denoiser import DenoiserShape, build_denoiser, build_noise_schedule
from pipeline.bundled_diffusion.networks.widen_channels import GUIDANCE_WEIGHT, widen_denoiser
from pipeline.bundled_diffusion.training.guidance_distillation import (
    DistillationModels,
    distillation_losses,
    embed_guidance,
    sample_guidance_scales,
)
from pipeline.bundled_diffusion.training.latent_cache import LatentBatch

SHAPE = DenoiserShape(latent_channels=4, latent=(8, 4), widths=(16, 32, 32), text_width=32)


@pytest.fixture
def models() -> DistillationModels:
    torch.manual_seed(0)
    teacher = build_denoiser(SHAPE).eval()
    student = widen_denoiser(teacher, build_denoiser(replace(SHAPE, guidance=16))).eval()
    return DistillationModels(student, teacher, torch.randn(5, 32))


@pytest.fixture
def batch() -> LatentBatch:
    torch.manual_seed(1)
    return LatentBatch(torch.randn(6, 4, 8, 4), torch.randn(6, 5, 32), torch.ones(6, 8, 4), torch.zeros(6, 3, 4, 2))


def loss(models: DistillationModels, batch: LatentBatch, scale: float) -> torch.Tensor:
    rng = np.random.default_rng(4)
    return distillation_losses(models, build_noise_schedule(), batch, torch.full((6,), scale), rng)["loss"]


def test_at_scale_one_a_copy_of_the_teacher_has_no_loss(models: DistillationModels, batch: LatentBatch) -> None:
    assert loss(models, batch, 1.0).item() == pytest.approx(0, abs=1e-9)


def test_guidance_changes_nothing_for_the_empty_caption(models: DistillationModels, batch: LatentBatch) -> None:
    empty = replace(batch, text=models.empty.expand(6, -1, -1))
    assert loss(models, empty, 5.0).item() == pytest.approx(0, abs=1e-9)


def test_the_loss_of_a_copy_grows_with_the_square_of_the_scale(models: DistillationModels, batch: LatentBatch) -> None:
    near, far = loss(models, batch, 2.0).item(), loss(models, batch, 4.0).item()
    assert near > 0
    assert far == pytest.approx(9 * near, rel=1e-3)


def test_the_student_learns_and_the_teacher_stays_frozen(models: DistillationModels, batch: LatentBatch) -> None:
    before = [weight.clone() for weight in models.teacher.parameters()]
    optimiser = torch.optim.Adam(models.student.parameters(), lr=1e-3)
    first = loss(models, batch, 3.0).item()
    for _ in range(20):
        optimiser.zero_grad()
        torch.autograd.backward(loss(models, batch, 3.0))
        optimiser.step()
    assert loss(models, batch, 3.0).item() < 0.5 * first
    assert all(torch.equal(weight, old) for weight, old in zip(models.teacher.parameters(), before, strict=True))
    assert models.student.state_dict()[GUIDANCE_WEIGHT].abs().max() > 0


def test_embeddings_of_different_scales_differ() -> None:
    embedding = embed_guidance(torch.tensor([1.0, 2.5, 5.0]), 16)
    assert embedding.shape == (3, 16)
    assert torch.cdist(embedding, embedding).add(torch.eye(3)).min() > 0.1


def test_guidance_scales_stay_in_their_range_and_are_uniform_in_their_logarithms() -> None:
    scales = sample_guidance_scales((1.0, 4.0), 2000, np.random.default_rng(1))
    assert 1 <= scales.min() < scales.max() <= 4
    assert 0.45 < (scales < 2).float().mean() < 0.55

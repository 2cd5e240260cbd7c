"""A student that is told its guidance: when it has nothing to learn, and that it learns the rest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.bundled_diffusion.networks.denoiser import Batch, DenoiserShape, build_denoiser, build_noise_schedule
from pipeline.bundled_diffusion.networks.widen_channels import TOLD, widen_denoiser
from pipeline.bundled_diffusion.training.guidance_distillation import Pair, embed_guidance, guided_losses

SHAPE = DenoiserShape(latent_channels=4, latent=(8, 4), widths=(16, 32, 32), text_width=32)


@pytest.fixture
def pair() -> Pair:
    torch.manual_seed(0)
    teacher = build_denoiser(SHAPE).eval()
    student = widen_denoiser(teacher, build_denoiser(replace(SHAPE, guidance=16))).eval()
    return Pair(student, teacher, torch.randn(5, 32))


@pytest.fixture
def batch() -> Batch:
    torch.manual_seed(1)
    return Batch(torch.randn(6, 4, 8, 4), torch.randn(6, 5, 32), torch.ones(6, 8, 4), torch.zeros(6, 3, 4, 2))


def loss(pair: Pair, batch: Batch, strength: float) -> torch.Tensor:
    rng = np.random.default_rng(4)
    return guided_losses(pair, build_noise_schedule(), batch, torch.full((6,), strength), rng)["loss"]


def test_without_guidance_there_is_nothing_to_learn(pair: Pair, batch: Batch) -> None:
    assert loss(pair, batch, 1.0).item() == pytest.approx(0, abs=1e-9)


def test_guidance_changes_nothing_where_nothing_is_asked_for(pair: Pair, batch: Batch) -> None:
    asked_nothing = replace(batch, text=pair.empty.expand(6, -1, -1))
    assert loss(pair, asked_nothing, 5.0).item() == pytest.approx(0, abs=1e-9)


def test_stronger_guidance_lies_further_away_by_its_square(pair: Pair, batch: Batch) -> None:
    near, far = loss(pair, batch, 2.0).item(), loss(pair, batch, 4.0).item()
    assert near > 0
    assert far == pytest.approx(9 * near, rel=1e-3)


def test_the_student_learns_and_its_teacher_stays(pair: Pair, batch: Batch) -> None:
    before = [weight.clone() for weight in pair.teacher.parameters()]
    optimiser = torch.optim.Adam(pair.student.parameters(), lr=1e-3)
    first = loss(pair, batch, 3.0).item()
    for _ in range(20):
        optimiser.zero_grad()
        torch.autograd.backward(loss(pair, batch, 3.0))
        optimiser.step()
    assert loss(pair, batch, 3.0).item() < 0.5 * first
    assert all(torch.equal(weight, old) for weight, old in zip(pair.teacher.parameters(), before, strict=True))
    assert pair.student.state_dict()[TOLD].abs().max() > 0


def test_strengths_are_told_apart() -> None:
    told = embed_guidance(torch.tensor([1.0, 2.5, 5.0]), 16)
    assert told.shape == (3, 16)
    assert torch.cdist(told, told).add(torch.eye(3)).min() > 0.1

"""A denoiser that is taught by what its pictures tell: who learns, from which looks, and that it does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.embedded.attributes import AttributeNet
from pipeline.embedded.autoencoder import Critic, build_autoencoder
from pipeline.embedded.diffusion import DenoiserShape, build_denoiser
from pipeline.embedded.reward import Order, Studio, reward_losses
from pipeline.embedded.widen import widen_denoiser

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")

SHAPE = DenoiserShape(latent_channels=4, latent=(4, 3), widths=(16, 32, 32), text_width=32, guidance=16)
FACTORS = {"glasses": ("clear", "none"), "light": ("day", "dusk", "night")}


@pytest.fixture
def studio() -> Studio:
    torch.manual_seed(0)
    student = build_denoiser(SHAPE).eval()
    before = widen_denoiser(student, build_denoiser(SHAPE)).eval().requires_grad_(False)
    autoencoder = build_autoencoder(4, (8, 8, 8, 8)).eval().requires_grad_(False)
    network = AttributeNet(FACTORS).eval().requires_grad_(False)
    network.head.weight *= 1e4  # else one that has not learned tells the same of every picture
    critic = Critic(network, 0.0, {"glasses": 1.0, "light": 0.5}, "float32")
    return Studio(student, before, autoencoder, critic, 0.1)


@pytest.fixture
def order() -> Order:
    torch.manual_seed(1)
    return Order(torch.randn(4, 5, 32), torch.rand(4, 3, 32, 24) * 2 - 1, torch.full((4,), 3.0), steps=4, kept=2)


def losses(studio: Studio, order: Order) -> dict[str, torch.Tensor]:
    return dict(reward_losses(studio, order, np.random.default_rng(4)))


def test_a_student_that_has_not_learned_does_not_drift(studio: Studio, order: Order) -> None:
    found = losses(studio, order)
    assert found["drift"].item() == pytest.approx(0, abs=1e-10)
    assert found["told"].item() > 0


def test_how_many_looks_learn_changes_the_gradient_and_not_the_picture(studio: Studio, order: Order) -> None:
    gradients, told = [], []
    for kept in (1, 3):
        studio.student.zero_grad()
        found = losses(studio, replace(order, kept=kept))
        torch.autograd.backward(found["loss"])
        told.append(found["told"].item())
        gradients.append(torch.cat([weight.grad.flatten() for weight in studio.student.parameters()]))
    assert told[0] == pytest.approx(told[1], rel=1e-6)
    assert (gradients[0] - gradients[1]).norm() > 0.1 * gradients[0].norm() > 0


def test_the_student_learns_to_be_read_and_no_one_else_changes(studio: Studio, order: Order) -> None:
    others = [studio.before, studio.autoencoder, studio.critic.network]
    held = [value.clone() for other in others for value in other.state_dict().values()]
    optimiser = torch.optim.Adam(studio.student.parameters(), lr=1e-3)
    first = losses(studio, order)["told"].item()
    for _ in range(20):
        optimiser.zero_grad()
        torch.autograd.backward(losses(studio, order)["loss"])
        optimiser.step()
    found = losses(studio, order)
    assert found["told"].item() < 0.7 * first
    assert found["drift"].item() > 0
    now = [value for other in others for value in other.state_dict().values()]
    assert all(torch.equal(*pair) for pair in zip(held, now, strict=True))


def test_a_pull_counts_the_drift(studio: Studio, order: Order) -> None:
    with torch.no_grad():
        studio.student.conv_out.bias += 0.5
    found = losses(replace(studio, pull=3.0), order)
    assert found["loss"].item() == pytest.approx(found["told"].item() + 3 * found["drift"].item(), rel=1e-6)
    assert found["drift"].item() == pytest.approx(0.25, rel=1e-4)

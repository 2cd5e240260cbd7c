"""A denoiser that is taught by what its pictures tell: who learns, from which looks, and that it does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.bundled_diffusion.config import LoopRecipe, RewardRecipe
from pipeline.bundled_diffusion.networks.attribute_net import AttributeNet
from pipeline.bundled_diffusion.networks.autoencoder import build_autoencoder
from pipeline.bundled_diffusion.networks.denoiser import DenoiserShape, build_denoiser
from pipeline.bundled_diffusion.networks.widen_channels import widen_denoiser
from pipeline.bundled_diffusion.training.reward_finetuning import Order, Studio, compare_statistics, reward_losses

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")

SHAPE = DenoiserShape(latent_channels=4, latent=(4, 3), widths=(16, 32, 32), text_width=32, guidance=16)
FACTORS = {"glasses": ("clear", "none"), "light": ("day", "dusk", "night")}

LEARNING = LoopRecipe(steps=2, batch_size=2, learning_rate=0.001, warmup_steps=1, ema_decay=0.5, seed=1)
HOW = RewardRecipe(
    told={"glasses": 1.0, "light": 0.5}, look=0.01, decoded=0.1, pull=0.1, steps=(2, 4), learning=LEARNING
)


@pytest.fixture
def studio() -> Studio:
    torch.manual_seed(0)
    student = build_denoiser(SHAPE).eval()
    before = widen_denoiser(student, build_denoiser(SHAPE)).eval().requires_grad_(False)
    autoencoder = build_autoencoder(4, (8, 8, 8, 8)).eval().requires_grad_(False)
    network = AttributeNet(FACTORS).eval().requires_grad_(False)
    network.head.weight *= 1e4  # else one that has not learned tells the same of every picture
    return Studio(student, before, autoencoder, network, HOW)


@pytest.fixture
def order() -> Order:
    torch.manual_seed(1)
    rendered, weights = torch.rand(4, 3, 32, 24) * 2 - 1, torch.ones(4, 32, 24)
    return Order(torch.randn(4, 5, 32), rendered, weights, torch.full((4,), 3.0), steps=4, kept=2)


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
    others = [studio.before, studio.autoencoder, studio.reader]
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


def test_the_loss_is_what_the_recipe_weighs(studio: Studio, order: Order) -> None:
    with torch.no_grad():
        studio.student.conv_out.bias += 0.5
    how = HOW.model_copy(update={"look": 2.0, "decoded": 5.0, "pull": 3.0})
    found = losses(replace(studio, how=how), order)
    parts = found["told"] + 2 * found["look"] + 5 * found["decoded"] + 3 * found["drift"]
    assert found["loss"].item() == pytest.approx(parts.item(), rel=1e-6)
    assert found["drift"].item() == pytest.approx(0.25, rel=1e-4)


def test_the_look_of_the_same_pictures_is_the_same_and_of_paler_ones_is_not(studio: Studio, order: Order) -> None:
    wanted = studio.reader.features(order.rendered)
    assert compare_statistics(wanted, wanted).item() == 0
    pale, paler = (compare_statistics(studio.reader.features(order.rendered * by), wanted).item() for by in (0.9, 0.5))
    assert 0 < pale < paler


def test_what_is_decoded_counts_where_it_weighs(studio: Studio, order: Order) -> None:
    upper = torch.zeros(4, 32, 24)
    upper[:, :16] = 2.0
    halves = [losses(studio, replace(order, weights=weights))["decoded"].item() for weights in (upper, 2 - upper)]
    assert sum(halves) / 2 == pytest.approx(losses(studio, order)["decoded"].item(), rel=1e-5)
    assert halves[0] != pytest.approx(halves[1], rel=1e-4)

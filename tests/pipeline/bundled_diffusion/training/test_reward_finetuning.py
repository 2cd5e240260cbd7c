from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.bundled_diffusion.config import LoopConfig, RewardConfig
from pipeline.bundled_diffusion.networks.attribute_net import AttributeNet
from pipeline.bundled_diffusion.networks.autoencoder import build_autoencoder
from pipeline.bundled_diffusion.networks.denoiser import DenoiserShape, build_denoiser
from pipeline.bundled_diffusion.networks.widen_channels import widen_denoiser
from pipeline.bundled_diffusion.training.reward_finetuning import (
    RewardModels,
    SampleBatch,
    feature_matching_loss,
    reward_losses,
)

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")

SHAPE = DenoiserShape(latent_channels=4, latent=(4, 3), widths=(16, 32, 32), text_width=32, guidance=16)
FACTORS = {"glasses": ("clear", "none"), "light": ("day", "dusk", "night")}

LOOP = LoopConfig(steps=2, batch_size=2, learning_rate=0.001, warmup_steps=1, ema_decay=0.5, seed=1)
CONFIG = RewardConfig(
    attribute_weight={"glasses": 1.0, "light": 0.5},
    feature_matching_weight=0.01,
    reconstruction_weight=0.1,
    drift_penalty_weight=0.1,
    sampling_steps=(2, 4),
    training=LOOP,
)


@pytest.fixture
def models() -> RewardModels:
    torch.manual_seed(0)
    student = build_denoiser(SHAPE).eval()
    reference = widen_denoiser(student, build_denoiser(SHAPE)).eval().requires_grad_(False)
    autoencoder = build_autoencoder(4, (8, 8, 8, 8)).eval().requires_grad_(False)
    network = AttributeNet(FACTORS).eval().requires_grad_(False)
    network.head.weight *= 1e4  # an untrained network predicts the same for every picture otherwise
    return RewardModels(student, reference, autoencoder, network, CONFIG)


@pytest.fixture
def batch() -> SampleBatch:
    torch.manual_seed(1)
    rendered, weights = torch.rand(4, 3, 32, 24) * 2 - 1, torch.ones(4, 32, 24)
    return SampleBatch(torch.randn(4, 5, 32), rendered, weights, torch.full((4,), 3.0), steps=4, trained_steps=2)


def losses(models: RewardModels, batch: SampleBatch) -> dict[str, torch.Tensor]:
    return dict(reward_losses(models, batch, np.random.default_rng(4)))


def test_an_unchanged_student_has_no_drift(models: RewardModels, batch: SampleBatch) -> None:
    values = losses(models, batch)
    assert values["drift"].item() == pytest.approx(0, abs=1e-10)
    assert values["attributes"].item() > 0


def test_the_number_of_trained_steps_changes_the_gradient_and_not_the_pictures(
    models: RewardModels, batch: SampleBatch
) -> None:
    gradients, attributes = [], []
    for trained_steps in (1, 3):
        models.student.zero_grad()
        values = losses(models, replace(batch, trained_steps=trained_steps))
        torch.autograd.backward(values["loss"])
        attributes.append(values["attributes"].item())
        gradients.append(torch.cat([weight.grad.flatten() for weight in models.student.parameters()]))
    assert attributes[0] == pytest.approx(attributes[1], rel=1e-6)
    assert (gradients[0] - gradients[1]).norm() > 0.1 * gradients[0].norm() > 0


def test_training_raises_the_reward_and_leaves_frozen_models_unchanged(
    models: RewardModels, batch: SampleBatch
) -> None:
    frozen = [models.reference, models.autoencoder, models.reward_model]
    before = [value.clone() for model in frozen for value in model.state_dict().values()]
    optimiser = torch.optim.Adam(models.student.parameters(), lr=1e-3)
    first = losses(models, batch)["attributes"].item()
    for _ in range(20):
        optimiser.zero_grad()
        torch.autograd.backward(losses(models, batch)["loss"])
        optimiser.step()
    values = losses(models, batch)
    assert values["attributes"].item() < 0.7 * first
    assert values["drift"].item() > 0
    after = [value for model in frozen for value in model.state_dict().values()]
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


def test_the_loss_is_the_weighted_sum_of_its_parts(models: RewardModels, batch: SampleBatch) -> None:
    with torch.no_grad():
        models.student.conv_out.bias += 0.5
    weights = {"feature_matching_weight": 2.0, "reconstruction_weight": 5.0, "drift_penalty_weight": 3.0}
    values = losses(replace(models, config=CONFIG.model_copy(update=weights)), batch)
    weighted = 2 * values["feature_matching"] + 5 * values["reconstruction"] + 3 * values["drift"]
    assert values["loss"].item() == pytest.approx((values["attributes"] + weighted).item(), rel=1e-6)
    assert values["drift"].item() == pytest.approx(0.25, rel=1e-4)


def test_feature_matching_is_zero_for_the_same_pictures_and_grows_with_fading(
    models: RewardModels, batch: SampleBatch
) -> None:
    target = models.reward_model.features(batch.rendered)
    assert feature_matching_loss(target, target).item() == 0
    faded = [models.reward_model.features(batch.rendered * factor) for factor in (0.9, 0.5)]
    slightly, strongly = (feature_matching_loss(maps, target).item() for maps in faded)
    assert 0 < slightly < strongly


def test_reconstruction_errors_count_by_their_weights(models: RewardModels, batch: SampleBatch) -> None:
    upper = torch.zeros(4, 32, 24)
    upper[:, :16] = 2.0
    batches = [replace(batch, weights=weights) for weights in (upper, 2 - upper)]
    halves = [losses(models, half)["reconstruction"].item() for half in batches]
    assert sum(halves) / 2 == pytest.approx(losses(models, batch)["reconstruction"].item(), rel=1e-5)
    assert halves[0] != pytest.approx(halves[1], rel=1e-4)

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

from pipeline.bundled_diffusion.config import TrainingConfig, load_config
from pipeline.bundled_diffusion.networks.attribute_net import AttributeNet, save_attribute_net
from pipeline.bundled_diffusion.networks.autoencoder import build_autoencoder, encode
from pipeline.bundled_diffusion.portrait_dataset import WeightedPortraits
from pipeline.bundled_diffusion.training.train_autoencoder import PerceptualLoss, autoencoder_losses, train_autoencoder

PIXELS = np.random.default_rng(1).integers(0, 255, (12, 32, 32, 3), dtype=np.uint8)
PORTRAITS = WeightedPortraits(PIXELS, np.ones((12, 4, 4), np.float32))


def small_config(root: Path, work: Path, decoder_steps: int) -> TrainingConfig:
    config = load_config(root / "pipeline" / "bundled_diffusion" / "params.yaml")
    short = config.autoencoder.perceptual_phase.model_copy(update={"steps": 1, "batch_size": 2})
    decoder = short.model_copy(update={"steps": decoder_steps, "learning_rate": 0.01, "warmup_steps": 1})
    phases = {"reconstruction_phase": short, "perceptual_phase": short, "decoder_phase": decoder}
    sizes = {"widths": (8, 8, 8, 8), "attribute_weight": {"glasses": 0.1}, **phases}
    work.mkdir()
    torch.manual_seed(3)
    save_attribute_net(AttributeNet({"glasses": ("none", "thin")}), work / "attributes.safetensors")
    changes = {"work": work, "start": None, "device": "cpu", "autoencoder": config.autoencoder.model_copy(update=sizes)}
    return config.model_copy(update=changes)


def test_the_decoder_phase_changes_the_decoder_and_no_latent(root: Path, tmp_path: Path) -> None:
    folders = []
    for steps in (1, 3):
        config = small_config(root, tmp_path / str(steps), steps)
        train_autoencoder(config, PORTRAITS)
        folders.append(
            AutoencoderKL.from_pretrained(config.work / "autoencoder", dtype=torch.float32, low_cpu_mem_usage=False)
        )
    first, second = folders
    np.testing.assert_array_equal(encode(first, PIXELS), encode(second, PIXELS))
    assert first.config.scaling_factor == second.config.scaling_factor == 1
    assert not torch.equal(first.decoder.conv_out.weight, second.decoder.conv_out.weight)


class PerfectAutoencoder(torch.nn.Module):
    """Its latents are the pixels."""

    def encode(self, images: torch.Tensor) -> object:
        from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

        moments = torch.cat([images, torch.full_like(images, -30.0)], 1)
        return type("Encoded", (), {"latent_dist": DiagonalGaussianDistribution(moments)})()

    def decode(self, latents: torch.Tensor) -> object:
        return type("Decoded", (), {"sample": latents})()


def test_perceptual_losses_of_a_perfect_reconstruction_are_zero_at_every_shift() -> None:
    network = AttributeNet({"glasses": ("none", "thin")}).eval()
    network.head.weight.data.mul_(1000)  # makes its predictions confident
    perceptual_loss = PerceptualLoss(network, 1.0, {"glasses": 0.2}, "float32")
    images, weights = torch.rand(2, 3, 32, 32) * 2 - 1, torch.ones(2, 32, 32)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        losses = autoencoder_losses(PerfectAutoencoder(), perceptual_loss, images, weights, rng)
        assert float(losses["perceptual"].detach()) < 1e-6
        assert float(losses["attributes"].detach()) < 1e-6
    rng = np.random.default_rng(1)
    worse = autoencoder_losses(build_autoencoder(4, (8, 8)), perceptual_loss, images, weights, rng)
    values = {name: float(value.detach()) for name, value in worse.items()}
    assert values["perceptual"] > 0.01
    assert values["attributes"] > 1e-5
    parts = values["reconstruction"] + values["perceptual"] + values["attributes"] + 1e-6 * values["kl"]
    assert values["loss"] == pytest.approx(parts, rel=1e-4)


def test_reconstruction_errors_count_by_their_weights() -> None:
    portraits = WeightedPortraits(PIXELS, np.zeros((12, 4, 4), np.float32))
    portraits.weights[:, 0, 0] = 16
    images, weights = portraits.batch(portraits.sample_rows(3, np.random.default_rng(1)), torch.device("cpu"))
    assert images.shape == (3, 3, 32, 32)
    assert (weights[:, :8, :8] == 16).all()
    assert float(weights.sum()) == 3 * 16 * 64
    torch.manual_seed(2)
    autoencoder = build_autoencoder(4, (8, 8, 8, 8)).eval()

    def reconstruction(weights: torch.Tensor) -> float:
        losses = autoencoder_losses(autoencoder, None, images, weights, np.random.default_rng(1))
        return float(losses["reconstruction"].detach())

    assert reconstruction(weights) != pytest.approx(reconstruction(torch.ones(3, 32, 32)))
    assert reconstruction(2 * weights) == pytest.approx(2 * reconstruction(weights))

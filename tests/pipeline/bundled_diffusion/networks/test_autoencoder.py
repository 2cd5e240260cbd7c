"""The autoencoder: what its phases change, and what they leave."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

from pipeline.bundled_diffusion.config import Recipe, load_recipe
from pipeline.bundled_diffusion.networks.attribute_net import AttributeNet, save_attributes, to_input
from pipeline.bundled_diffusion.networks.autoencoder import (
    Critic,
    Portraits,
    autoencoder_losses,
    build_autoencoder,
    decode,
    encode,
    learn_autoencoder,
    level_channels,
)

PIXELS = np.random.default_rng(1).integers(0, 255, (12, 32, 32, 3), dtype=np.uint8)
PORTRAITS = Portraits(PIXELS, np.ones((12, 4, 4), np.float32))


def recipe_of(root: Path, work: Path, decoder_steps: int) -> Recipe:
    recipe = load_recipe(root / "pipeline" / "bundled_diffusion" / "params.yaml")
    short = recipe.autoencoder.fine.model_copy(update={"steps": 1, "batch_size": 2})
    decoder = short.model_copy(update={"steps": decoder_steps, "learning_rate": 0.01, "warmup_steps": 1})
    sizes = {"widths": (8, 8, 8, 8), "told": {"glasses": 0.1}, "rough": short, "fine": short, "decoder": decoder}
    work.mkdir()
    torch.manual_seed(3)
    save_attributes(AttributeNet({"glasses": ("none", "thin")}), work / "attributes.safetensors")
    changes = {"work": work, "start": None, "device": "cpu", "autoencoder": recipe.autoencoder.model_copy(update=sizes)}
    return recipe.model_copy(update=changes)


def test_the_decoder_phase_changes_the_decoder_and_no_latent(root: Path, tmp_path: Path) -> None:
    folders = []
    for steps in (1, 3):
        recipe = recipe_of(root, tmp_path / str(steps), steps)
        learn_autoencoder(recipe, PORTRAITS)
        folders.append(
            AutoencoderKL.from_pretrained(recipe.work / "autoencoder", dtype=torch.float32, low_cpu_mem_usage=False)
        )
    first, second = folders
    np.testing.assert_array_equal(encode(first, PIXELS), encode(second, PIXELS))
    assert first.config.scaling_factor == second.config.scaling_factor == 1
    assert not torch.equal(first.decoder.conv_out.weight, second.decoder.conv_out.weight)


def test_the_perceptual_distance_of_a_picture_to_itself_is_zero_wherever_it_is_displaced() -> None:
    class Perfect(torch.nn.Module):
        def encode(self, images: torch.Tensor) -> object:
            from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

            moments = torch.cat([images, torch.full_like(images, -30.0)], 1)
            return type("Encoded", (), {"latent_dist": DiagonalGaussianDistribution(moments)})()

        def decode(self, latents: torch.Tensor) -> object:
            return type("Decoded", (), {"sample": latents})()

    network = AttributeNet({"glasses": ("none", "thin")}).eval()
    network.head.weight.data.mul_(1000)  # a network that is sure of something
    critic = Critic(network, 1.0, {"glasses": 0.2}, "float32")
    images, weights = torch.rand(2, 3, 32, 32) * 2 - 1, torch.ones(2, 32, 32)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        losses = autoencoder_losses(Perfect(), critic, images, weights, rng)  # type: ignore[arg-type]
        assert float(losses["perceptual"].detach()) < 1e-6
        assert float(losses["told"].detach()) < 1e-6
    worse = autoencoder_losses(build_autoencoder(4, (8, 8)), critic, images, weights, np.random.default_rng(1))
    assert float(worse["perceptual"].detach()) > 0.01
    assert float(worse["told"].detach()) > 1e-5
    parts = ("absolute", "perceptual", "told")
    absolute, perceptual, told = (float(worse[name].detach()) for name in parts)
    divergence = 1e-6 * float(worse["divergence"].detach())
    assert float(worse["loss"].detach()) == pytest.approx(absolute + perceptual + told + divergence, rel=1e-4)


def test_levelled_channels_have_mean_0_and_variance_1_and_decode_to_the_same() -> None:
    torch.manual_seed(3)
    autoencoder = build_autoencoder(4, (8, 8)).eval()
    with torch.no_grad():
        autoencoder.quant_conv.weight[1] *= 20
        autoencoder.quant_conv.bias[2] += 3
        before = autoencoder.encode(to_input(PIXELS)).latent_dist
    pixels = decode(autoencoder, encode(autoencoder, PIXELS))
    level_channels(autoencoder, encode(autoencoder, PIXELS))
    levelled = encode(autoencoder, PIXELS).astype(np.float32)
    np.testing.assert_allclose(levelled.mean((0, 2, 3)), 0, atol=0.01)
    np.testing.assert_allclose(levelled.std((0, 2, 3)), 1, atol=0.01)
    assert np.abs(decode(autoencoder, levelled.astype(np.float16)).astype(int) - pixels.astype(int)).max() <= 1
    with torch.no_grad():
        after = autoencoder.encode(to_input(PIXELS)).latent_dist
    noise = [given.std.mean((0, 2, 3)) / given.mean.std((0, 2, 3)) for given in (before, after)]
    torch.testing.assert_close(noise[0], noise[1], rtol=0.01, atol=0)  # as loud beside its signal as it was


def test_differences_count_where_the_weights_lie() -> None:
    portraits = Portraits(PIXELS, np.zeros((12, 4, 4), np.float32))
    portraits.weights[:, 0, 0] = 16
    images, weights = portraits.take(portraits.choose(3, np.random.default_rng(1)), torch.device("cpu"))
    assert images.shape == (3, 3, 32, 32)
    assert (weights[:, :8, :8] == 16).all()
    assert float(weights.sum()) == 3 * 16 * 64
    torch.manual_seed(2)
    autoencoder = build_autoencoder(4, (8, 8, 8, 8)).eval()
    losses = autoencoder_losses(autoencoder, None, images, weights, np.random.default_rng(1))
    evenly = autoencoder_losses(autoencoder, None, images[:, :, :8, :8], torch.ones(3, 8, 8), np.random.default_rng(1))
    assert float(losses["absolute"].detach()) != float(evenly["absolute"].detach())
    twice = autoencoder_losses(autoencoder, None, images, 2 * weights, np.random.default_rng(1))
    assert float(twice["absolute"].detach()) == pytest.approx(2 * float(losses["absolute"].detach()))

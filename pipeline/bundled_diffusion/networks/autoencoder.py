"""The autoencoder: pixels to latents at an eighth of the size, and back.

AutoencoderKL (Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models", CVPR 2022) without its
attention, learned on an absolute difference, a small divergence, a perceptual distance in the feature maps of an
attribute classifier, and the divergence of what it tells, so that what tells a helmet from a cap survives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pipeline.bundled_diffusion.config import LoopRecipe, Recipe
from pipeline.bundled_diffusion.networks.attribute_net import AttributeNet, load_attributes, to_input
from pipeline.bundled_diffusion.networks.widen_channels import widen_autoencoder
from pipeline.bundled_diffusion.portrait_dataset import head_weights, open_world, world_prompts
from pipeline.bundled_diffusion.training.train_loop import open_device, run_loop

DIVERGENCE = 1e-6


def build_autoencoder(latent_channels: int, widths: tuple[int, ...]) -> AutoencoderKL:
    """Make a randomly initialised autoencoder that halves the size ``len(widths) - 1`` times."""
    levels = len(widths)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=widths,
        layers_per_block=1,
        latent_channels=latent_channels,
        norm_num_groups=8,
        mid_block_add_attention=False,
    ).to(memory_format=torch.channels_last)


@dataclass(frozen=True, slots=True)
class Critic:
    """The network whose features must survive.

    Attributes:
        network: It.
        weight: How much their distance counts beside the absolute difference.
        told: Factor -> how much it counts that it tells something else.
        precision: Of the products.
    """

    network: AttributeNet
    weight: float
    told: Mapping[str, float]
    precision: str


def autoencoder_losses(
    autoencoder: AutoencoderKL, critic: Critic | None, images: Tensor, weights: Tensor, rng: np.random.Generator
) -> Mapping[str, Tensor]:
    """Losses of float32 (N, 3, H, W) images in -1..1: loss, absolute, divergence, perceptual and told.

    ``weights``, float32 (N, H, W) of mean 1, says how much an absolute difference counts at each place.
    """
    posterior = autoencoder.encode(images).latent_dist
    stream = torch.Generator(images.device).manual_seed(int(rng.integers(2**31)))
    decoded = autoencoder.decode(posterior.sample(stream)).sample
    absolute = ((decoded - images).abs().mean(1) * weights).mean()
    divergence = posterior.kl().mean()
    loss, perceptual, told = absolute + DIVERGENCE * divergence, torch.zeros(()), torch.zeros(())
    if critic is not None:
        perceptual, told = _criticise(critic, *displace(decoded, images, rng))
        loss = loss + critic.weight * perceptual + told
    return {"loss": loss, "absolute": absolute, "divergence": divergence, "perceptual": perceptual, "told": told}


@dataclass(frozen=True, slots=True)
class Portraits:
    """What the autoencoder learns from.

    Attributes:
        pixels: uint8 (N, H, W, 3).
        weights: float32 (N, H/n, W/n) for some n, of mean 1: how much a difference counts at each place.
    """

    pixels: NDArray[np.uint8]
    weights: NDArray[np.float32]

    def choose(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Choose portraits evenly: (count,) rows, sorted."""
        return np.sort(rng.integers(0, len(self.pixels), count))

    def take(self, rows: NDArray[np.int64], device: torch.device) -> tuple[Tensor, Tensor]:
        """Take images, float32 (rows, 3, H, W) in -1..1, and weights, float32 (rows, H, W)."""
        weights = torch.from_numpy(self.weights[rows]).to(device)
        times = self.pixels.shape[1] // self.weights.shape[1]
        return to_input(self.pixels[rows], device), weights.repeat_interleave(times, 1).repeat_interleave(times, 2)


def open_portraits(recipe: Recipe) -> Portraits:
    """The work folder's portraits, but for those held out, as the recipe weighs them."""
    prompts, how = world_prompts(recipe.policies, recipe.world.policies, recipe.world.seed), recipe.autoencoder
    known, shape = slice(None, -recipe.world.held_out), (recipe.height // 2, recipe.width // 2)
    weights = head_weights(prompts[known], shape, how.head_weight, how.eye_weight)
    return Portraits(open_world(prompts, recipe.work / "world").pixels[known], weights)


def learn_autoencoder(recipe: Recipe, portraits: Portraits) -> None:
    """Learn the autoencoder.

    Roughly first; then finely, with the perceptual loss; at last the decoder alone, which changes no latent. Begun with
    another model's, it has no rough phase. Writes work/autoencoder/, every channel of its latents of mean 0 and
    variance 1; goes on where a killed run stood.
    """
    how, work, device = recipe.autoencoder, recipe.work, open_device(recipe.device)
    begun = recipe.begins_with("autoencoder")
    torch.manual_seed(how.rough.seed)
    if begun is None:
        autoencoder = build_autoencoder(how.latent_channels, how.widths).to(device)
        autoencoder = _phase(autoencoder, None, portraits, how.rough, work / "autoencoder-rough")
    else:
        taken = AutoencoderKL.from_pretrained(begun / "vae", dtype=torch.float32, low_cpu_mem_usage=False)
        autoencoder = widen_autoencoder(taken, build_autoencoder(how.latent_channels, how.widths))
        autoencoder.to(device).to(memory_format=torch.channels_last)
    network = load_attributes(work / "attributes.safetensors").requires_grad_(False).to(device)
    critic = Critic(network, how.perceptual, how.told, how.precision)
    autoencoder = _phase(autoencoder, critic, portraits, how.fine, work / "autoencoder-fine")
    for part in (autoencoder.encoder, autoencoder.quant_conv):
        part.requires_grad_(False)
    autoencoder = _phase(autoencoder, critic, portraits, how.decoder, work / "autoencoder-decoder")
    level_channels(autoencoder, encode(autoencoder, portraits.pixels[: recipe.world.held_out]))
    autoencoder.cpu().half().save_pretrained(work / "autoencoder")


def level_channels(autoencoder: AutoencoderKL, latents: NDArray[np.float16]) -> None:
    """Give every channel mean 0 and variance 1 over ``latents`` (N, C, h, w); what is decoded stays the same.

    A channel that varies little would drown in the noise that a denoiser learns from. The change goes into the 1x1
    convolutions at both ends of the latents.
    """
    values = torch.from_numpy(latents).double()
    mean, spread = (found.float().to(autoencoder.device) for found in (values.mean((0, 2, 3)), values.std((0, 2, 3))))
    inner, outer, count = autoencoder.quant_conv, autoencoder.post_quant_conv, len(mean)
    with torch.no_grad():
        outer.bias += outer.weight[:, :, 0, 0] @ mean
        outer.weight *= spread[None, :, None, None]
        inner.bias[:count] = (inner.bias[:count] - mean) / spread
        inner.weight[:count] /= spread[:, None, None, None]
        inner.bias[count:] -= 2 * spread.log()  # logarithms of variances
    autoencoder.register_to_config(scaling_factor=1.0)


def _phase(
    autoencoder: AutoencoderKL, critic: Critic | None, portraits: Portraits, recipe: LoopRecipe, work: Path
) -> AutoencoderKL:
    device, halves = autoencoder.device, critic is not None and critic.precision == "bfloat16"

    def step_loss(_step: int, rng: np.random.Generator) -> Mapping[str, Tensor]:
        images, weights = portraits.take(portraits.choose(recipe.batch_size, rng), device)
        with torch.autocast(device.type, torch.bfloat16, enabled=halves):
            return autoencoder_losses(autoencoder, critic, images, weights, rng)

    learned = run_loop(nn.ModuleDict({"autoencoder": autoencoder}), step_loss, recipe, work)["autoencoder"]
    return learned.requires_grad_(True)


def encode(autoencoder: AutoencoderKL, pixels: NDArray[np.uint8], batch_size: int = 64) -> NDArray[np.float16]:
    """Means of the latents of uint8 (N, H, W, 3) images: float16 (N, C, H/8, W/8), unscaled."""
    with torch.inference_mode():
        parts = [
            autoencoder.encode(to_input(pixels[first : first + batch_size], autoencoder.device)).latent_dist.mean
            for first in range(0, len(pixels), batch_size)
        ]
    return np.concatenate([part.half().cpu().numpy() for part in parts])


def decode(autoencoder: AutoencoderKL, latents: NDArray[np.float16], batch_size: int = 32) -> NDArray[np.uint8]:
    """Turn unscaled latents back into uint8 (N, H, W, 3) pixels."""
    parts = []
    with torch.inference_mode():
        for first in range(0, len(latents), batch_size):
            part = torch.from_numpy(latents[first : first + batch_size]).to(autoencoder.device).float()
            images = autoencoder.decode(part).sample
            parts.append(images.add(1).mul(127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy())
    return np.concatenate(parts)


def _criticise(critic: Critic, decoded: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
    """Tell the distance of the features, and the weighted sum of the Kullback-Leibler divergences of what is told."""
    network = critic.network
    with torch.no_grad():
        wanted = network.features(images)
        truth = network.read(wanted[-1])
    found = network.features(decoded)
    told = network.read(found[-1])
    distances = [
        (functional.normalize(maps, dim=1) - functional.normalize(want, dim=1)).square().sum(1).mean()
        for maps, want in zip(found, wanted, strict=True)
    ]
    return torch.stack(distances).sum(), diverge(told, truth, critic.told)


def diverge(told: Mapping[str, Tensor], truth: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The weighted sum of the factors' Kullback-Leibler divergences of two tellings, logits (N, values) of each."""
    return torch.stack([weight * _divergence(told[name], truth[name]) for name, weight in weights.items()]).sum()


def _divergence(told: Tensor, truth: Tensor) -> Tensor:
    told, truth = (logits.float().log_softmax(1) for logits in (told, truth))
    return functional.kl_div(told, truth, reduction="batchmean", log_target=True)


def displace(decoded: Tensor, images: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Shift and mirror both alike: strided features always read at the same places leave a grid in what is decoded."""
    shift = rng.integers(-8, 8, 2).tolist()
    both = [pictures.roll(shift, (2, 3)) for pictures in (decoded, images)]
    first, second = (pictures.flip(3) for pictures in both) if rng.random() < 0.5 else both
    return first, second

"""Trains the autoencoder in three phases.

1. Reconstruction alone: absolute difference, weighted by place, and a small KL divergence of the latents from a
   standard normal (Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models", CVPR 2022,
   arXiv:2112.10752).
2. In addition, a perceptual loss on the features of the attribute network (Zhang et al., "The Unreasonable
   Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018, arXiv:1801.03924), and the divergence of its
   predictions for the decoded picture from those for the original (Hinton et al., "Distilling the Knowledge in a Neural
   Network", 2015, arXiv:1503.02531): what distinguishes a helmet from a cap must survive.
3. The same losses, for the decoder alone.

Reads the dataset and attributes.safetensors of the work folder; writes autoencoder-PHASE.pt and .csv and, at the end,
autoencoder/ in the diffusers layout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.nn import functional

from pipeline.bundled_diffusion.config import LoopConfig, TrainingConfig
from pipeline.bundled_diffusion.networks.attribute_net import AttributeNet, load_attribute_net
from pipeline.bundled_diffusion.networks.autoencoder import build_autoencoder, encode, normalise_latents
from pipeline.bundled_diffusion.networks.widen_channels import widen_autoencoder
from pipeline.bundled_diffusion.portrait_dataset import WeightedPortraits
from pipeline.bundled_diffusion.training.train_loop import choose_training_device, run_loop
from pipeline.machine.memory_layout import lay_out

KL_WEIGHT = 1e-6


@dataclass(frozen=True, slots=True)
class PerceptualLoss:
    """The attribute network as a loss.

    Attributes:
        network: The network, frozen.
        weight: Weight of the distance of its features, relative to the reconstruction loss.
        attribute_weight: Factor -> weight of the divergence of its predictions.
        precision: ``bfloat16`` or ``float32``.
    """

    network: AttributeNet
    weight: float
    attribute_weight: Mapping[str, float]
    precision: str


def autoencoder_losses(
    autoencoder: AutoencoderKL,
    perceptual_loss: PerceptualLoss | None,
    images: Tensor,
    weights: Tensor,
    rng: np.random.Generator,
) -> Mapping[str, Tensor]:
    """Compute the losses of one batch.

    Args:
        autoencoder: Autoencoder in training.
        perceptual_loss: None in the first phase.
        images: float32 (N, 3, H, W) in -1..1.
        weights: float32 (N, H, W), each picture's of mean 1: weight of the reconstruction error at each place.
        rng: Generator of the step.

    Returns:
        Scalars: loss, reconstruction, kl, perceptual and attributes (both 0 in the first phase).
    """
    posterior = autoencoder.encode(images).latent_dist
    stream = torch.Generator(images.device).manual_seed(int(rng.integers(2**31)))
    decoded = autoencoder.decode(posterior.sample(stream)).sample
    reconstruction = ((decoded - images).abs().mean(1) * weights).mean()
    kl = posterior.kl().mean()
    loss, perceptual, attributes = reconstruction + KL_WEIGHT * kl, torch.zeros(()), torch.zeros(())
    if perceptual_loss is not None:
        perceptual, attributes = _perceptual(perceptual_loss, *shift_and_flip(decoded, images, rng))
        loss = loss + perceptual_loss.weight * perceptual + attributes
    parts = {"reconstruction": reconstruction, "kl": kl, "perceptual": perceptual, "attributes": attributes}
    return {"loss": loss, **parts}


def attribute_divergence(
    predicted: Mapping[str, Tensor], target: Mapping[str, Tensor], weights: Mapping[str, float]
) -> Tensor:
    """Weighted sum over factors of the Kullback-Leibler divergence of predictions from targets, a scalar in nats.

    Args:
        predicted: Factor -> logits (N, values).
        target: Likewise.
        weights: Factor -> weight; other factors do not count.
    """
    return torch.stack([weight * _divergence(predicted[name], target[name]) for name, weight in weights.items()]).sum()


def shift_and_flip(decoded: Tensor, images: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Shift, and in half of the cases mirror, two batches (N, 3, H, W) alike, at random.

    Gradients of strided convolutions at fixed positions leave a grid in the decoded pictures (Odena et al.,
    "Deconvolution and Checkerboard Artifacts", Distill 2016); varying the position avoids it.
    """
    shift = rng.integers(-8, 8, 2).tolist()
    both = [pictures.roll(shift, (2, 3)) for pictures in (decoded, images)]
    first, second = (pictures.flip(3) for pictures in both) if rng.random() < 0.5 else both
    return first, second


def train_autoencoder(config: TrainingConfig, portraits: WeightedPortraits) -> None:
    """Train the autoencoder, or resume.

    An autoencoder that starts from an earlier model skips the first phase. At the end every latent channel is rescaled
    to mean 0 and variance 1.
    """
    settings, work, device = config.autoencoder, config.work, choose_training_device(config.device)
    start = config.start_folder("autoencoder")
    torch.manual_seed(settings.reconstruction_phase.seed)
    if start is None:
        autoencoder = build_autoencoder(settings.latent_channels, settings.widths).to(device)
        loop = settings.reconstruction_phase
        autoencoder = _train_phase(autoencoder, None, portraits, loop, work / "autoencoder-reconstruction")
    else:
        earlier = AutoencoderKL.from_pretrained(start / "vae", dtype=torch.float32, low_cpu_mem_usage=False)
        autoencoder = widen_autoencoder(earlier, build_autoencoder(settings.latent_channels, settings.widths))
        lay_out(autoencoder.to(device))
    network = load_attribute_net(work / "attributes.safetensors").requires_grad_(False).to(device)
    loss = PerceptualLoss(network, settings.perceptual_weight, settings.attribute_weight, settings.precision)
    autoencoder = _train_phase(autoencoder, loss, portraits, settings.perceptual_phase, work / "autoencoder-perceptual")
    for part in (autoencoder.encoder, autoencoder.quant_conv):
        part.requires_grad_(False)
    autoencoder = _train_phase(autoencoder, loss, portraits, settings.decoder_phase, work / "autoencoder-decoder")
    normalise_latents(autoencoder, encode(autoencoder, portraits.pixels[: config.dataset.held_out]))
    autoencoder.cpu().half().save_pretrained(work / "autoencoder")


def _train_phase(
    autoencoder: AutoencoderKL,
    perceptual_loss: PerceptualLoss | None,
    portraits: WeightedPortraits,
    config: LoopConfig,
    work: Path,
) -> AutoencoderKL:
    device = autoencoder.device
    half_precision = perceptual_loss is not None and perceptual_loss.precision == "bfloat16"

    def step_loss(_step: int, rng: np.random.Generator) -> Mapping[str, Tensor]:
        images, weights = portraits.batch(portraits.sample_rows(config.batch_size, rng), device)
        with torch.autocast(device.type, torch.bfloat16, enabled=half_precision):
            return autoencoder_losses(autoencoder, perceptual_loss, images, weights, rng)

    trained = run_loop(nn.ModuleDict({"autoencoder": autoencoder}), step_loss, config, work)["autoencoder"]
    return trained.requires_grad_(True)


def _perceptual(loss: PerceptualLoss, decoded: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distance of normalised features, summed over stages, and the weighted divergence of predictions."""
    network = loss.network
    with torch.no_grad():
        target_maps = network.features(images)
        target = network.logits(target_maps[-1])
    maps = network.features(decoded)
    predicted = network.logits(maps[-1])
    distances = [
        (functional.normalize(own, dim=1) - functional.normalize(wanted, dim=1)).square().sum(1).mean()
        for own, wanted in zip(maps, target_maps, strict=True)
    ]
    return torch.stack(distances).sum(), attribute_divergence(predicted, target, loss.attribute_weight)


def _divergence(predicted: Tensor, target: Tensor) -> Tensor:
    predicted, target = (logits.float().log_softmax(1) for logits in (predicted, target))
    return functional.kl_div(predicted, target, reduction="batchmean", log_target=True)

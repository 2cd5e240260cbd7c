"""Reward fine-tuning of the distilled denoiser, and of the decoder with it.

Pictures are sampled as the pipeline samples them, the reward model (an attribute network) predicts their factors, and
the gradient of the loss flows back through the decoder and the last few sampling steps, a random number of them: Clark
et al., "Directly Fine-Tuning Diffusion Models on Differentiable Rewards" (DRaFT), ICLR 2024, arXiv:2309.17400;
Prabhudesai et al., "Aligning Text-to-Image Diffusion Models with Reward Backpropagation" (AlignProp), 2023,
arXiv:2310.03739.

Against over-optimisation of this one reward model:

- The targets are its predictions for the rendered portrait of the same caption, not certainty.
- Feature matching: the statistics of its feature maps must be those of rendered portraits (Salimans et al., "Improved
  Techniques for Training GANs", NeurIPS 2016, arXiv:1606.03498).
- A drift penalty on the distance from the denoiser before fine-tuning, and a reconstruction loss for the decoder.
- It is used for nothing else: curation's verifier and the judge are other networks.

Reads distilled/, autoencoder/, reward_model.safetensors, the captions and the dataset of the work folder; writes
reward.pt, reward.csv and, at the end, vae/ and unet/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, ModelMixin, UNet2DConditionModel
from torch import Tensor, nn

from pipeline.bundled_diffusion.config import RewardConfig, TrainingConfig
from pipeline.bundled_diffusion.networks.attribute_net import AttributeNet, load_attribute_net
from pipeline.bundled_diffusion.networks.denoiser import use_plain_attention
from pipeline.bundled_diffusion.portrait_dataset import load_weighted_portraits
from pipeline.bundled_diffusion.save_pipeline import build_sampler
from pipeline.bundled_diffusion.training.guidance_distillation import embed_guidance, sample_guidance_scales
from pipeline.bundled_diffusion.training.train_autoencoder import attribute_divergence, shift_and_flip
from pipeline.bundled_diffusion.training.train_loop import choose_training_device, run_loop
from pipeline.machine.memory_layout import lay_out


@dataclass(frozen=True, slots=True)
class RewardModels:
    """Models and loss weights of reward fine-tuning.

    Attributes:
        student: Denoiser in training; takes the guidance scale as input.
        reference: The denoiser before fine-tuning, frozen.
        autoencoder: Its decoder is trained, its encoder frozen.
        reward_model: Attribute network that judges the pictures, frozen.
        config: Loss weights and range of sampling steps.
    """

    student: UNet2DConditionModel
    reference: UNet2DConditionModel
    autoencoder: AutoencoderKL
    reward_model: AttributeNet
    config: RewardConfig


@dataclass(frozen=True, slots=True)
class SampleBatch:
    """Pictures to sample in one training step.

    Attributes:
        text: float32 (N, tokens, width): caption embeddings.
        rendered: float32 (N, 3, H, W) in -1..1: rendered portraits of the same captions.
        weights: float32 (N, H, W), each picture's of mean 1: weight of a reconstruction error at each place.
        scales: float32 (N,): guidance scales.
        steps: Number of sampling steps.
        trained_steps: How many of them, the last, gradients flow through.
    """

    text: Tensor
    rendered: Tensor
    weights: Tensor
    scales: Tensor
    steps: int
    trained_steps: int


def reward_losses(models: RewardModels, batch: SampleBatch, rng: np.random.Generator) -> Mapping[str, Tensor]:
    """Sample pictures and compute their losses.

    Returns:
        Scalars: loss; attributes, the divergence of the reward model's predictions from those for the rendered
        portraits; feature_matching; reconstruction, the absolute difference of rendered portraits and their decoded
        latents; drift, the squared distance of velocities from the reference.
    """
    config, autoencoder = models.config, models.autoencoder
    latents, drift = _sample(models, batch, rng)
    sampled = autoencoder.decode(latents / autoencoder.config.scaling_factor).sample.clamp(-1, 1)
    maps, target = (models.reward_model.features(pictures) for pictures in shift_and_flip(sampled, batch.rendered, rng))
    predicted, target_logits = models.reward_model.logits(maps[-1]), models.reward_model.logits(target[-1])
    attributes = attribute_divergence(predicted, target_logits, config.attribute_weight)
    feature_matching = feature_matching_loss(maps, target)
    with torch.no_grad():
        encoded = autoencoder.encode(batch.rendered).latent_dist.mode()
    differences = (autoencoder.decode(encoded).sample - batch.rendered).abs().mean(1)
    reconstruction = (differences * batch.weights).mean()
    loss = (
        attributes
        + config.feature_matching_weight * feature_matching
        + config.reconstruction_weight * reconstruction
        + config.drift_penalty_weight * drift
    )
    parts = {"attributes": attributes, "feature_matching": feature_matching, "reconstruction": reconstruction}
    return {"loss": loss, **parts, "drift": drift}


def feature_matching_loss(maps: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
    """Compare channel statistics of feature maps.

    Args:
        maps: One (N, C, h, w) per stage of the network.
        target: Likewise, of the pictures to match.

    Returns:
        Squared differences of every channel's mean and standard deviation over pictures and places, in units of the
        target's standard deviation; averaged over channels, summed over stages: a scalar.
    """
    distances = []
    for own, wanted in zip(maps, target, strict=True):
        (mean, std), (target_mean, target_std) = (_statistics(values.float()) for values in (own, wanted))
        differences = torch.stack([mean - target_mean, std - target_std]) / (target_std + 1e-3)
        distances.append(differences.square().mean(1).sum())
    return torch.stack(distances).sum()


def _statistics(maps: Tensor) -> tuple[Tensor, Tensor]:
    return maps.mean((0, 2, 3)), maps.std((0, 2, 3))


def _sample(models: RewardModels, batch: SampleBatch, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Sample latents (N, C, h, w); also return the drift of the velocities in the trained steps, a scalar."""
    student, device = models.student, batch.text.device
    sampler: DPMSolverMultistepScheduler = build_sampler()
    sampler.set_timesteps(batch.steps, device=device)
    guidance = embed_guidance(batch.scales, student.config.time_cond_proj_dim)
    halvings = len(models.autoencoder.config.block_out_channels) - 1
    height, width = (side >> halvings for side in batch.rendered.shape[2:])
    shape = (len(batch.text), student.config.in_channels, height, width)
    stream = torch.Generator(device).manual_seed(int(rng.integers(2**63)))
    latents, drifts = torch.randn(shape, generator=stream, device=device), []
    for number, timestep in enumerate(sampler.timesteps):
        trained = number >= batch.steps - batch.trained_steps
        settings = {"timestep_cond": guidance, "return_dict": False}
        with torch.set_grad_enabled(trained):
            velocity = student(latents, timestep, batch.text, **settings)[0].float()
            if trained:
                with torch.no_grad():
                    reference = models.reference(latents, timestep, batch.text, **settings)[0].float()
                drifts.append((velocity - reference).square().mean())
            latents = sampler.step(velocity, timestep, latents, return_dict=False)[0]
    return latents, torch.stack(drifts).mean()


class _BatchSampler:
    """Samples batches of captions and rendered portraits from the work folder."""

    def __init__(self, config: TrainingConfig, device: torch.device) -> None:
        self._portraits = load_weighted_portraits(config)
        self._texts = torch.from_numpy(np.load(config.work / "captions.npy", mmap_mode="c"))
        self._config, self._device = config.denoiser, device

    def sample(self, rng: np.random.Generator) -> SampleBatch:
        config = self._config
        rows = self._portraits.sample_rows(config.reward.training.batch_size, rng)
        rendered, weights = self._portraits.batch(rows, self._device)
        scales = sample_guidance_scales(config.guidance_range, len(rows), rng)
        fewest, most = config.reward.sampling_steps
        steps = int(rng.integers(fewest, most + 1))
        return SampleBatch(
            text=self._texts[rows].float().to(self._device),
            rendered=rendered,
            weights=weights,
            scales=scales.to(self._device),
            steps=steps,
            trained_steps=int(rng.integers(1, steps)),
        )


def train_with_reward(config: TrainingConfig) -> None:
    """Fine-tune the distilled denoiser and the decoder, or resume."""
    settings, device, work = config.denoiser.reward, choose_training_device(config.device), config.work
    torch.manual_seed(settings.training.seed)
    student, reference = (_load_distilled(config).to(device) for _ in range(2))
    trained = AutoencoderKL.from_pretrained(work / "autoencoder", dtype=torch.float32, low_cpu_mem_usage=False)
    autoencoder = lay_out(trained.to(device))
    reward_model = load_attribute_net(work / "reward_model.safetensors").to(device)
    for frozen in (reference, reward_model, autoencoder.encoder, autoencoder.quant_conv):
        frozen.requires_grad_(False)
    for model in (student, reference):
        use_plain_attention(model)
    models = RewardModels(student, reference, autoencoder, reward_model, settings)
    batches = _BatchSampler(config, device)

    def step_loss(_step: int, rng: np.random.Generator) -> Mapping[str, Tensor]:
        with torch.autocast(device.type, torch.bfloat16, enabled=config.denoiser.precision == "bfloat16"):
            return reward_losses(models, batches.sample(rng), rng)

    modules = nn.ModuleDict({"student": student, "autoencoder": autoencoder})
    averaged = run_loop(modules, step_loss, settings.training, work / "reward")
    for name, folder in (("autoencoder", "vae"), ("student", "unet")):
        part = averaged[name]
        assert isinstance(part, ModelMixin)
        part.cpu().half().save_pretrained(work / folder)


def _load_distilled(config: TrainingConfig) -> UNet2DConditionModel:
    folder = config.work / "distilled"
    distilled = UNet2DConditionModel.from_pretrained(folder, dtype=torch.float32, low_cpu_mem_usage=False)
    return lay_out(distilled)

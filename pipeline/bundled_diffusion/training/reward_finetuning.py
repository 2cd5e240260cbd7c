"""Has the denoiser that ships draw, and learn from what is read in its pictures; the decoder learns beside it.

Captions are drawn as the pipeline draws them, an attribute network reads the pictures, and the loss goes back through
the decoder and the last few looks of the denoiser, a random number of them (Prabhudesai et al., "Aligning Text-to-Image
Diffusion Models with Reward Backpropagation", 2023; Clark et al., "Directly Fine-Tuning Diffusion Models on
Differentiable Rewards", ICLR 2024). Three things keep pictures from being drawn for this one reader: what it should
tell is no more than it tells of the rendered portrait of the same caption; its feature maps should have the statistics
they have of rendered portraits (Salimans et al., "Improved Techniques for Training GANs", 2016: feature matching); and
the denoiser is pulled back to what it was. The reader is a network of its own, so that neither curation's verifier nor
the judge has ever been drawn for.

Reads guided/, autoencoder/, the reader, the texts and the world of the work folder; writes reward.pt, reward.csv and,
at the end, vae/ and unet/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, ModelMixin, UNet2DConditionModel
from torch import Tensor, nn

from pipeline.bundled_diffusion.config import Recipe, RewardRecipe
from pipeline.bundled_diffusion.networks.attribute_net import AttributeNet, load_attributes
from pipeline.bundled_diffusion.networks.autoencoder import displace, diverge, open_portraits
from pipeline.bundled_diffusion.save_pipeline import build_sampler
from pipeline.bundled_diffusion.training.guidance_distillation import draw_strengths, embed_guidance
from pipeline.bundled_diffusion.training.train_denoiser import plain_attention
from pipeline.bundled_diffusion.training.train_loop import open_device, run_loop


@dataclass(frozen=True, slots=True)
class Studio:
    """Who draws and who looks.

    Attributes:
        student: The denoiser that learns; told its guidance.
        before: The same as it was.
        autoencoder: Its decoder learns.
        reader: Tells what it sees.
        how: What counts how much.
    """

    student: UNet2DConditionModel
    before: UNet2DConditionModel
    autoencoder: AutoencoderKL
    reader: AttributeNet
    how: RewardRecipe


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be drawn.

    Attributes:
        text: float32 (N, tokens, width).
        rendered: float32 (N, 3, H, W) in -1..1: the rendered portraits of the same captions.
        weights: float32 (N, H, W), of mean 1: how much a difference from them counts at each place.
        strengths: float32 (N,): guidance scales.
        steps: Of the sampler.
        kept: How many of them, the last, the loss goes back through.
    """

    text: Tensor
    rendered: Tensor
    weights: Tensor
    strengths: Tensor
    steps: int
    kept: int


def reward_losses(studio: Studio, order: Order, rng: np.random.Generator) -> Mapping[str, Tensor]:
    """Losses of one order.

    Returns:
        loss; told, the divergences of what is read from what is read in the rendered portraits; look, how far the
        feature maps' statistics are from theirs; decoded, the absolute difference of portraits encoded and decoded;
        drift, of the denoiser from what it was.
    """
    how, autoencoder = studio.how, studio.autoencoder
    latents, drift = _sample(studio, order, rng)
    drawn = autoencoder.decode(latents / autoencoder.config.scaling_factor).sample.clamp(-1, 1)
    found, wanted = (studio.reader.features(pictures) for pictures in displace(drawn, order.rendered, rng))
    told = diverge(studio.reader.read(found[-1]), studio.reader.read(wanted[-1]), how.told)
    look = compare_statistics(found, wanted)
    with torch.no_grad():
        encoded = autoencoder.encode(order.rendered).latent_dist.mode()
    differences = (autoencoder.decode(encoded).sample - order.rendered).abs().mean(1)
    decoded = (differences * order.weights).mean()
    loss = told + how.look * look + how.decoded * decoded + how.pull * drift
    return {"loss": loss, "told": told, "look": look, "decoded": decoded, "drift": drift}


def compare_statistics(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Mean square differences of every channel's mean and standard deviation, in standard deviations wanted, summed."""
    distances = []
    for maps, goal in zip(found, wanted, strict=True):
        (mean, spread), (goal_mean, goal_spread) = (_statistics(values.float()) for values in (maps, goal))
        apart = torch.stack([mean - goal_mean, spread - goal_spread]) / (goal_spread + 1e-3)
        distances.append(apart.square().mean(1).sum())
    return torch.stack(distances).sum()


def _statistics(maps: Tensor) -> tuple[Tensor, Tensor]:
    return maps.mean((0, 2, 3)), maps.std((0, 2, 3))


def _sample(studio: Studio, order: Order, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Draw latents (N, C, h, w); tell how far the velocities of the kept steps are from those of before."""
    student, device = studio.student, order.text.device
    sampler: DPMSolverMultistepScheduler = build_sampler()
    sampler.set_timesteps(order.steps, device=device)
    told = embed_guidance(order.strengths, student.config.time_cond_proj_dim)
    halvings = len(studio.autoencoder.config.block_out_channels) - 1
    height, width = (side >> halvings for side in order.rendered.shape[2:])
    shape = (len(order.text), student.config.in_channels, height, width)
    stream = torch.Generator(device).manual_seed(int(rng.integers(2**63)))
    latents, drifts = torch.randn(shape, generator=stream, device=device), []
    for number, time in enumerate(sampler.timesteps):
        learns = number >= order.steps - order.kept
        given = {"timestep_cond": told, "return_dict": False}
        with torch.set_grad_enabled(learns):
            velocity = student(latents, time, order.text, **given)[0].float()
            if learns:
                with torch.no_grad():
                    former = studio.before(latents, time, order.text, **given)[0].float()
                drifts.append((velocity - former).square().mean())
            latents = sampler.step(velocity, time, latents, return_dict=False)[0]
    return latents, torch.stack(drifts).mean()


class _Orders:
    """Draws orders from the work folder."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        self._portraits = open_portraits(recipe)
        self._texts = torch.from_numpy(np.load(recipe.work / "text.npy", mmap_mode="c"))
        self._how, self._device = recipe.denoiser, device

    def draw(self, rng: np.random.Generator) -> Order:
        how = self._how
        rows = self._portraits.choose(how.reward.learning.batch_size, rng)
        rendered, weights = self._portraits.take(rows, self._device)
        strengths = draw_strengths(how.guidance, len(rows), rng)
        steps = int(rng.integers(how.reward.steps[0], how.reward.steps[1] + 1))
        return Order(
            text=self._texts[rows].float().to(self._device),
            rendered=rendered,
            weights=weights,
            strengths=strengths.to(self._device),
            steps=steps,
            kept=int(rng.integers(1, steps)),
        )


def learn_reward(recipe: Recipe) -> None:
    """Have the guided denoiser draw, and learn; goes on where a killed run stood."""
    how, device, work = recipe.denoiser.reward, open_device(recipe.device), recipe.work
    torch.manual_seed(how.learning.seed)
    student, before = (_open_denoiser(recipe).to(device) for _ in range(2))
    taken = AutoencoderKL.from_pretrained(work / "autoencoder", dtype=torch.float32, low_cpu_mem_usage=False)
    autoencoder = taken.to(device).to(memory_format=torch.channels_last)
    reader = load_attributes(work / "reader.safetensors").to(device)
    for still in (before, reader, autoencoder.encoder, autoencoder.quant_conv):
        still.requires_grad_(False)
    for model in (student, before):
        plain_attention(model)
    studio, orders = Studio(student, before, autoencoder, reader, how), _Orders(recipe, device)

    def step_loss(_step: int, rng: np.random.Generator) -> Mapping[str, Tensor]:
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.denoiser.precision == "bfloat16"):
            return reward_losses(studio, orders.draw(rng), rng)

    modules = nn.ModuleDict({"student": student, "autoencoder": autoencoder})
    learned = run_loop(modules, step_loss, how.learning, work / "reward")
    for name, folder in (("autoencoder", "vae"), ("student", "unet")):
        part = learned[name]
        assert isinstance(part, ModelMixin)
        part.cpu().half().save_pretrained(work / folder)


def _open_denoiser(recipe: Recipe) -> UNet2DConditionModel:
    taken = UNet2DConditionModel.from_pretrained(recipe.work / "guided", dtype=torch.float32, low_cpu_mem_usage=False)
    return taken.to(memory_format=torch.channels_last)

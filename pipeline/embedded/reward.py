"""Has the denoiser that ships draw until what it draws can be read.

Captions are drawn as the pipeline draws them, an attribute network reads the pictures, and the loss goes back through
the decoder and the last few looks of the denoiser, a random number of them (Prabhudesai et al., "Aligning Text-to-Image
Diffusion Models with Reward Backpropagation", 2023; Clark et al., "Directly Fine-Tuning Diffusion Models on
Differentiable Rewards", ICLR 2024). What the network should tell is what it tells of the rendered portrait of the same
caption; a pull back to the denoiser as it was keeps pictures from being drawn for this one reader. It is a network of
its own, so that neither curation's verifier nor the judge has ever been drawn for.

Reads guided/, vae/, the reader, the texts and the world of the work folder; writes reward.pt, reward.csv and, at the
end, unet/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, UNet2DConditionModel
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.embedded.attributes import load_attributes, to_input
from pipeline.embedded.autoencoder import Critic, displace, tell_apart
from pipeline.embedded.denoise import plain_attention
from pipeline.embedded.folder import build_sampler
from pipeline.embedded.guidance import draw_strengths, embed_guidance
from pipeline.embedded.loop import open_device, run_loop
from pipeline.embedded.recipe import Recipe
from pipeline.embedded.world import open_world, world_prompts


@dataclass(frozen=True, slots=True)
class Studio:
    """Who draws and who looks.

    Attributes:
        student: The denoiser that learns; told its guidance.
        before: The same as it was.
        autoencoder: That decodes.
        critic: That reads, and how much each factor counts.
        pull: How much the distance of the student's velocities from those of ``before`` counts.
    """

    student: UNet2DConditionModel
    before: UNet2DConditionModel
    autoencoder: AutoencoderKL
    critic: Critic
    pull: float


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be drawn.

    Attributes:
        text: float32 (N, tokens, width).
        rendered: float32 (N, 3, H, W) in -1..1: the rendered portraits of the same captions.
        strengths: float32 (N,): guidance scales.
        steps: Of the sampler.
        kept: How many of them, the last, the loss goes back through.
    """

    text: Tensor
    rendered: Tensor
    strengths: Tensor
    steps: int
    kept: int


def reward_losses(studio: Studio, order: Order, rng: np.random.Generator) -> Mapping[str, Tensor]:
    """Losses of one order: loss; told, the divergences of what is read; drift, from the denoiser as it was."""
    latents, drift = _sample(studio, order, rng)
    decoded = studio.autoencoder.decode(latents / studio.autoencoder.config.scaling_factor).sample
    told = tell_apart(studio.critic, *displace(decoded.clamp(-1, 1), order.rendered, rng))
    return {"loss": told + studio.pull * drift, "told": told, "drift": drift}


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
    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        prompts = world_prompts(recipe.policies, recipe.world.policies, recipe.world.seed)
        self._count = len(prompts) - recipe.world.held_out
        self._pixels: NDArray[np.uint8] = open_world(prompts, recipe.work / "world").pixels
        self._texts = torch.from_numpy(np.load(recipe.work / "text.npy", mmap_mode="c"))
        self._how, self._device = recipe.denoiser, device

    def draw(self, rng: np.random.Generator) -> Order:
        how = self._how
        rows = rng.integers(0, self._count, how.reward.learning.batch_size)
        strengths = draw_strengths(how.guidance, len(rows), rng)
        steps = int(rng.integers(how.reward.steps[0], how.reward.steps[1] + 1))
        return Order(
            text=self._texts[rows].float().to(self._device),
            rendered=to_input(self._pixels[rows], self._device),
            strengths=strengths.to(self._device),
            steps=steps,
            kept=int(rng.integers(1, steps)),
        )


def learn_reward(recipe: Recipe) -> None:
    """Have the guided denoiser draw and learn; goes on where a killed run stood."""
    how = recipe.denoiser.reward
    torch.manual_seed(how.learning.seed)
    device, work = open_device(recipe.device), recipe.work
    student, before = (
        UNet2DConditionModel.from_pretrained(work / "guided", dtype=torch.float32, low_cpu_mem_usage=False)
        .to(device)
        .to(memory_format=torch.channels_last)
        for _ in range(2)
    )
    for model in (student, before):
        plain_attention(model)
    autoencoder = AutoencoderKL.from_pretrained(work / "vae", dtype=torch.float32, low_cpu_mem_usage=False)
    network = load_attributes(work / "reader.safetensors").requires_grad_(False).to(device)
    studio = Studio(
        student.train(),
        before.requires_grad_(False),
        autoencoder.requires_grad_(False).to(device).to(memory_format=torch.channels_last),
        Critic(network, 0.0, how.told, recipe.denoiser.precision),
        how.pull,
    )
    orders = _Orders(recipe, device)

    def step_loss(_step: int, rng: np.random.Generator) -> Mapping[str, Tensor]:
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.denoiser.precision == "bfloat16"):
            return reward_losses(studio, orders.draw(rng), rng)

    learned = run_loop(nn.ModuleDict({"student": student}), step_loss, how.learning, work / "reward")["student"]
    assert isinstance(learned, UNet2DConditionModel)
    learned.cpu().half().save_pretrained(work / "unet")

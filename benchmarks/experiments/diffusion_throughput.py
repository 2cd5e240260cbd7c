"""Images per second that this machine generates with the large presets, sd15 and turbo.

Speed depends on the sizes of the networks, not on their weights: networks of the presets' sizes get random weights and
generate images as ``gossamer generate`` does, with the preset's scheduler, steps and guidance, including text encoder
and decoder. Needs no download; the images show nothing. Reads params.yaml; writes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from benchmarks.experiment_harness.results import ResultRecord
from benchmarks.experiment_harness.workspace import POLICIES, ReportProgress
from pipeline.config.fields import Positive, Section, Seed
from pipeline.config.params import load_params
from pipeline.config.policy import load_policy
from pipeline.data.records import Prompt
from pipeline.generate.diffusion.model_source import WEIGHTS
from pipeline.generate.diffusion.pipeline_loader import set_scheduler
from pipeline.generate.diffusion.presets import Preset
from pipeline.generate.diffusion.sampler import Sampler
from pipeline.machine.devices import choose_device
from pipeline.machine.memory_layout import lay_out
from pipeline.prompts.prompt_sampler import draw_prompts

RESULT = "presets"
POLICY = "helmet"

Size = int | bool | tuple[int, ...] | tuple[str, ...]
Sizes = Mapping[str, Size]
"""Keyword arguments of a network's class."""

DECODER: Sizes = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 4,
}
NETWORKS: Mapping[str, Mapping[str, Sizes]] = {
    "sd15": {
        "unet": {"cross_attention_dim": 768, "attention_head_dim": 8},
        "text_encoder": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12},
        "vae": DECODER,
    },
    "turbo": {
        "unet": {"cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20, 20), "use_linear_projection": True},
        "text_encoder": {"hidden_size": 1024, "num_hidden_layers": 23, "num_attention_heads": 16},
        "vae": DECODER,
    },
}
"""Preset -> network -> sizes: those of Stable Diffusion 1.5, and of 2.1, which turbo was distilled from."""
TOKENS = 77
WARM_UP = 2


class Params(Section):
    """What is generated.

    Attributes:
        presets: Presets of params.yaml.
        width: Width of the images in pixels; square, as in published figures.
        height: Height of the images in pixels.
        batch_sizes: Images per batch.
        seconds: Minimum duration per preset and batch size, after two batches to warm up.
        device: Device of the networks.
        dtype: Data type of the networks.
        seed: Seed of prompts and weights.
    """

    presets: tuple[Literal["sd15", "turbo"], ...] = ("turbo", "sd15")
    width: Positive = 512
    height: Positive = 512
    batch_sizes: tuple[Positive, ...] = (1, 8, 32)
    seconds: Annotated[float, Field(gt=0)] = 5.0
    device: Literal["auto", "cpu", "cuda", "mps"] = "cuda"
    dtype: Literal["float32", "float16", "bfloat16"] = "bfloat16"
    seed: Seed = 512


class Speed(ResultRecord):
    """Speed of one preset at one batch size."""

    preset: str
    steps: int
    batch_size: int
    images_per_second: float
    seconds_per_batch: float


class Result(ResultRecord):
    """Speeds, and the name of the device."""

    speeds: tuple[Speed, ...]
    device: str


def run(params: Params, work: Path, report_progress: ReportProgress) -> Result:  # noqa: ARG001 - writes nothing
    """Generate images with each preset's networks at each batch size.

    Raises:
        ParamsError: The checkout's params.yaml is wrong, or this machine lacks the device.
    """
    prompts = draw_prompts(load_policy(Path(POLICIES) / f"{POLICY}.yaml"), max(params.batch_sizes), 1, params.seed)
    presets = load_params().generate.section("stable_diffusion")["presets"]
    device = choose_device(params.device, "--set")
    speeds: list[Speed] = []
    total = len(params.presets) * len(params.batch_sizes)
    for name in params.presets:
        changes = {"width": params.width, "height": params.height, "dtype": params.dtype, "device": device}
        preset = Preset.model_validate(presets[name]).model_copy(update=changes)
        pipe = build_pipeline(name, preset, params.seed)
        for size in params.batch_sizes:
            report_progress(len(speeds), total, name)
            seconds = time_batch(Sampler(pipe, preset, size, None, None), prompts[:size], params.seconds)
            speeds.append(
                Speed(
                    preset=name,
                    steps=preset.steps,
                    batch_size=size,
                    images_per_second=size / seconds,
                    seconds_per_batch=seconds,
                )
            )
        del pipe
    return Result(speeds=tuple(speeds), device=torch.cuda.get_device_name() if device == "cuda" else device)


def build_pipeline(name: str, preset: Preset, seed: int) -> Any:  # noqa: ANN401 - diffusers is untyped
    """Build a Stable Diffusion of a preset's size with random weights, on its device."""
    from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(seed)
    sizes = NETWORKS[name]
    tokenizer = CLIPTokenizer.from_pretrained(WEIGHTS / "tokenizer", model_max_length=TOKENS)
    text: dict[str, Any] = dict(sizes["text_encoder"])
    text |= {"intermediate_size": 4 * text["hidden_size"], "projection_dim": text["hidden_size"]}
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    with torch.device(preset.device):
        parts = {
            "vae": AutoencoderKL(**sizes["vae"]),
            "text_encoder": CLIPTextModel(CLIPTextConfig(max_position_embeddings=TOKENS, **text, **ends)),
            "unet": UNet2DConditionModel(**{"sample_size": preset.height // 8, **sizes["unet"]}),
        }
    for part in ("unet", "vae"):
        lay_out(parts[part])
    pipe = StableDiffusionPipeline(
        **parts,
        tokenizer=tokenizer,
        scheduler=EulerDiscreteScheduler(
            1000, 0.00085, 0.012, beta_schedule="scaled_linear", timestep_spacing="trailing", steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    set_scheduler(pipe, preset.scheduler)
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device=preset.device, dtype=getattr(torch, preset.dtype))


def time_batch(sampler: Sampler, prompts: Sequence[Prompt], min_seconds: float) -> float:
    """Generate the same batch for at least ``min_seconds``; returns seconds per batch."""
    for _ in range(WARM_UP):
        sampler.draw(prompts)
    start, batches = time.perf_counter(), 0
    while time.perf_counter() - start < min_seconds:
        sampler.draw(prompts)
        batches += 1
    return (time.perf_counter() - start) / batches

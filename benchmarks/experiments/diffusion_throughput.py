"""The big presets, sd15 and turbo: how many pictures a second does this machine draw?

Speed does not hang on what the weights are, only on how many: so networks of those sizes are made at random, and drawn
with as ``gossamer generate`` draws, at the preset's scheduler, steps and guidance, text encoder and decoder included.
No hub is needed; what comes out shows nothing. Reads params.yaml; writes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from benchmarks.experiment_harness.workspace import POLICIES
from benchmarks.experiments import Tell
from pipeline.config.fields import Positive, Section, Seed
from pipeline.config.params import load_params
from pipeline.config.policy import load_policy
from pipeline.data.records import Prompt
from pipeline.generate.diffusion.model_source import WEIGHTS
from pipeline.generate.diffusion.pipeline_loader import set_scheduler
from pipeline.generate.diffusion.presets import Preset
from pipeline.generate.diffusion.sampler import Sampler
from pipeline.machine.devices import choose_device
from pipeline.prompts.prompt_sampler import draw_prompts

RESULT = "presets"

DECODER: Mapping[str, Any] = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 4,
}
NETWORKS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
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
"""Preset -> sizes of its networks: those of Stable Diffusion 1.5, and of 2.1, which turbo was distilled from."""
TOKENS = 77
WARM_UP = 2


class Params(Section):
    """What is drawn.

    Attributes:
        presets: Of params.yaml.
        width: Of the pictures, and ``height``: square, as others publish their figures.
        batch_sizes: Pictures at once.
        seconds: At least so long is drawn, a preset and batch size, after two batches to warm up.
    """

    presets: tuple[Literal["sd15", "turbo"], ...] = ("turbo", "sd15")
    width: Positive = 512
    height: Positive = 512
    batch_sizes: tuple[Positive, ...] = (1, 8, 32)
    seconds: Annotated[float, Field(gt=0)] = 5.0
    device: Literal["auto", "cpu", "cuda", "mps"] = "cuda"
    dtype: Literal["float32", "float16", "bfloat16"] = "bfloat16"
    seed: Seed = 512


def run(params: Params, workspace: Path, tell: Tell) -> dict[str, Any]:  # noqa: ARG001 - nothing is kept
    """Draw with each preset's networks at each batch size.

    Raises:
        ParamsError: The checkout's params.yaml is wrong, or this machine has no such device.
    """
    prompts = draw_prompts(load_policy(Path(POLICIES) / "helmet.yaml"), max(params.batch_sizes), 1, params.seed)
    named = load_params().generate.section("stable_diffusion")["presets"]
    device = choose_device(params.device, "--set")
    speeds = []
    for number, name in enumerate(params.presets):
        changes = {"width": params.width, "height": params.height, "dtype": params.dtype, "device": device}
        preset = Preset.model_validate(named[name]).model_copy(update=changes)
        pipe = build_pipeline(name, preset, params.seed)
        for place, size in enumerate(params.batch_sizes):
            tell(number * len(params.batch_sizes) + place, len(params.presets) * len(params.batch_sizes), name)
            rates = time_draws(Sampler(pipe, preset, size, None, None), prompts[:size], params.seconds)
            speeds.append({"preset": name, "steps": preset.steps, "batch_size": size, **rates})
        del pipe
    return {"speeds": speeds, "device": torch.cuda.get_device_name() if device == "cuda" else device}


def build_pipeline(name: str, preset: Preset, seed: int) -> Any:  # noqa: ANN401 - diffusers is untyped
    """Make a Stable Diffusion of a preset's size with random weights, on its device."""
    from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(seed)
    sizes = NETWORKS[name]
    tokenizer = CLIPTokenizer.from_pretrained(WEIGHTS / "tokenizer", model_max_length=TOKENS)
    text = dict(sizes["text_encoder"])
    text |= {"intermediate_size": 4 * text["hidden_size"], "projection_dim": text["hidden_size"]}
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    with torch.device(preset.device):
        parts = {
            "vae": AutoencoderKL(**sizes["vae"]),
            "text_encoder": CLIPTextModel(CLIPTextConfig(max_position_embeddings=TOKENS, **text, **ends)),
            "unet": UNet2DConditionModel(**{"sample_size": preset.height // 8, **sizes["unet"]}),
        }
    parts["unet"].to(memory_format=torch.channels_last)
    parts["vae"].to(memory_format=torch.channels_last)
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


def time_draws(sampler: Sampler, prompts: Sequence[Prompt], least: float) -> dict[str, float]:
    """Draw the same batch for ``least`` seconds: images_per_second, and seconds_per_batch."""
    for _ in range(WARM_UP):
        sampler.draw(prompts)
    start, batches = time.perf_counter(), 0
    while time.perf_counter() - start < least:
        sampler.draw(prompts)
        batches += 1
    seconds = time.perf_counter() - start
    return {"images_per_second": batches * len(prompts) / seconds, "seconds_per_batch": seconds / batches}

"""Puts the learned parts together as a Stable Diffusion in the diffusers layout: safetensors, half precision.

Reads text_encoder/, tokenizer/, vae/ and unet/ of the work folder; writes the model folder that
``StableDiffusionPipeline.from_pretrained`` opens, whole or not at all.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from pipeline.bundled_diffusion.networks.denoiser import build_noise_schedule

LIMIT_BYTES = 24_000_000


def assemble(work: Path, unet: UNet2DConditionModel | None = None) -> StableDiffusionPipeline:
    """Open the parts of a work folder as one pipeline; ``unet`` stands in for the one on disk."""
    return StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(work / "vae", dtype=torch.float32, low_cpu_mem_usage=False),
        text_encoder=CLIPTextModel.from_pretrained(work / "text_encoder", dtype=torch.float32),
        tokenizer=CLIPTokenizer.from_pretrained(work / "tokenizer"),
        unet=unet or UNet2DConditionModel.from_pretrained(work / "unet", dtype=torch.float32, low_cpu_mem_usage=False),
        scheduler=build_sampler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def build_sampler() -> DPMSolverMultistepScheduler:
    """The sampler that ships: DPM-Solver++ 2M with trailing steps."""
    return DPMSolverMultistepScheduler.from_config(build_noise_schedule().config, algorithm_type="dpmsolver++")


def write_folder(pipe: StableDiffusionPipeline, out: Path) -> None:
    """Save a pipeline as float16 in place of the model in ``out``; other files there, such as its card, stay."""
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    pipe.to(torch.float16).save_pretrained(partial)
    for path in partial.rglob("*.safetensors"):
        path.chmod(0o644)
    _open_as_float32(partial / "text_encoder" / "config.json")
    for part in ("unet", "vae"):
        _forget_origin(partial / part / "config.json")
    for old in out.iterdir() if out.is_dir() else ():
        if old.is_file() and not (partial / old.name).exists():
            shutil.copy2(old, partial / old.name)
    shutil.rmtree(out, ignore_errors=True)
    partial.replace(out)


def _open_as_float32(config: Path) -> None:
    """Asked for no precision, transformers opens what a file holds and diffusers float32: make them agree."""
    values = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps({**values, "dtype": "float32"}, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _forget_origin(config: Path) -> None:
    """Drop the path that a part was read from, which diffusers notes: it means nothing on another machine."""
    values = json.loads(config.read_text(encoding="utf-8"))
    values.pop("_name_or_path", None)
    config.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")

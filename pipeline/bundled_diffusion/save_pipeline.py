"""Assembles the trained parts into a Stable Diffusion pipeline and saves it in the diffusers layout, as float16.

Reads text_encoder/, tokenizer/, vae/ and unet/ of the work folder; writes the model folder, which
``StableDiffusionPipeline.from_pretrained`` opens, atomically.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from pipeline.bundled_diffusion.networks.denoiser import build_noise_schedule
from pipeline.data.storage import atomic_folder, atomic_write

LIMIT_BYTES = 24_000_000
"""Largest size of a model folder that ships."""


def assemble_pipeline(work: Path, unet: UNet2DConditionModel | None = None) -> StableDiffusionPipeline:
    """Open the parts in a work folder as one float32 pipeline; ``unet`` replaces the one on disk."""
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
    """Create the sampler that ships: DPM-Solver++ 2M with trailing timesteps (Lu et al., 2022, arXiv:2211.01095)."""
    return DPMSolverMultistepScheduler.from_config(build_noise_schedule().config, algorithm_type="dpmsolver++")


def save_pipeline(pipe: StableDiffusionPipeline, out: Path) -> None:
    """Replace the model in ``out`` by a pipeline, as float16; other files in ``out``, such as its card, are kept."""
    with atomic_folder(out, own=("*",)) as folder:
        pipe.to(torch.float16).save_pretrained(folder)
        for path in folder.rglob("*.safetensors"):
            with atomic_write(path) as file:  # safetensors ignores the umask
                file.write(path.read_bytes())
        _declare_float32(folder / "text_encoder" / "config.json")
        for part in ("unet", "vae"):
            _drop_origin(folder / part / "config.json")
        for old in out.iterdir() if out.is_dir() else ():
            if old.is_file() and not (folder / old.name).exists():
                shutil.copy2(old, folder / old.name)


def _declare_float32(config: Path) -> None:
    """Declare float32: without a dtype, transformers opens weights in the dtype of the file, diffusers in float32."""
    values = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps({**values, "dtype": "float32"}, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _drop_origin(config: Path) -> None:
    """Remove the path that diffusers records for a part: it is meaningless on another machine."""
    values = json.loads(config.read_text(encoding="utf-8"))
    values.pop("_name_or_path", None)
    config.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")

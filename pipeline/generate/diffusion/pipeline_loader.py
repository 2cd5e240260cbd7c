"""Loads a preset's diffusers pipeline with its device, dtype, scheduler and memory layout, and checks the preset.

Reads a model folder, or the hub's cache; writes nothing. Errors are raised before the first image is drawn.
"""

from __future__ import annotations

import logging
import os
import textwrap
from typing import Any

from pipeline.errors import ModelError, ParamsError
from pipeline.generate.diffusion.model_source import (
    CHECKER_PARTS,
    LOADING_ERRORS,
    ModelSource,
    check_vocabulary,
    explain_unavailable,
)
from pipeline.generate.diffusion.presets import HALF_ON_CPU, Preset

SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "dpmsolver++": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
    "ddim": ("DDIMScheduler", {"clip_sample": False}),  # by default it clips, for pixels, not latents
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_ancestral": ("EulerAncestralDiscreteScheduler", {}),
    "lcm": ("LCMScheduler", {}),
}


def choose_dtype(requested: str, device: str, place: str) -> str:
    """Choose the dtype of the model; "auto" is float16 on CUDA and float32 elsewhere.

    Raises:
        ParamsError: float16 on a CPU.
    """
    if requested == "float16" and device == "cpu":
        raise ParamsError(f"{place}.dtype: {HALF_ON_CPU}")
    if requested == "auto":
        return "float16" if device == "cuda" else "float32"
    return requested


def open_pipeline(preset: Preset, source: ModelSource, device: str, place: str) -> Any:  # noqa: ANN401 - diffusers is untyped
    """Load a pipeline and prepare it for ``device``.

    Raises:
        ParamsError: Device, dtype, size or negative prompt do not fit the machine or the model.
        ModelError: The model is incomplete, or not available from the hub.
    """
    import torch

    from pipeline.machine.memory_layout import lay_out

    dtype = choose_dtype(preset.dtype, device, place)
    pipe = _load(preset, source, getattr(torch, dtype), place)
    tokenizer, encoder = getattr(pipe, "tokenizer", None), getattr(pipe, "text_encoder", None)
    if tokenizer is not None and encoder is not None:
        check_vocabulary(len(tokenizer), getattr(encoder.config, "vocab_size", 0), f"{place}.model: {preset.model}")
    check_size(pipe, preset, place)
    if preset.negative_prompt and has_guidance_input(pipe):
        raise ParamsError(
            f"{place}.negative_prompt: {preset.negative_prompt!r}; expected an empty one: {preset.model} takes its "
            "guidance as an input and has no unconditional pass that a negative prompt could replace"
        )
    if preset.safety_checker and getattr(pipe, "safety_checker", None) is None:
        raise ParamsError(f"{place}.safety_checker: true, but {preset.model} has none; expected false")
    set_scheduler(pipe, preset.scheduler)
    pipe.set_progress_bar_config(disable=True)
    pipe.to(device)
    for name in ("unet", "vae"):
        if preset.channels_last and getattr(pipe, name, None) is not None:
            lay_out(getattr(pipe, name))
    if preset.compile:
        pipe.unet = torch.compile(pipe.unet)
    return pipe


def has_guidance_input(pipe: Any) -> bool:  # noqa: ANN401
    """Whether the UNet takes the guidance as an input (Meng et al., CVPR 2023) and needs one pass per step, not two."""
    unet = getattr(pipe, "unet", None)
    return unet is not None and unet.config.get("time_cond_proj_dim") is not None


def check_size(pipe: Any, preset: Preset, place: str) -> None:  # noqa: ANN401
    """Check that the autoencoder can produce the image size and the UNet can downsample it.

    Raises:
        ParamsError: It is not possible.
    """
    scale = int(getattr(pipe, "vae_scale_factor", 8))
    unet = getattr(pipe, "unet", None)
    smallest = scale * 2 ** (len(unet.config.block_out_channels) - 1) if unet is not None else scale
    for name, pixels in (("width", preset.width), ("height", preset.height)):
        if pixels % scale:
            near = max(smallest, round(pixels / scale) * scale)
            raise ParamsError(
                f"{place}.{name}: {pixels}; expected a multiple of {scale}, the scale of this model's autoencoder, "
                f"e.g. {near}"
            )
        if pixels < smallest:
            raise ParamsError(
                f"{place}.{name}: {pixels}; expected {smallest} or more: smaller images vanish at the coarsest level "
                "of this model's UNet"
            )


def set_scheduler(pipe: Any, name: str) -> None:  # noqa: ANN401
    """Set a pipeline's scheduler, with the noise schedule of its model; "own" keeps the model's.

    A model with zero terminal signal-to-noise ratio (Lin et al., "Common Diffusion Noise Schedules and Sample Steps are
    Flawed", 2023) must start at the last timestep, from pure noise; only the spacing "trailing" does.
    """
    import diffusers

    if name == "own":
        return
    kind, options = SCHEDULERS[name]
    config = pipe.scheduler.config
    if config.get("rescale_betas_zero_snr"):
        options = {**options, "timestep_spacing": "trailing"}
    pipe.scheduler = getattr(diffusers, kind).from_config(config, **options)


def _silence_toolkits() -> None:
    """Turn off progress bars and log messages of the toolkits; errors are still raised."""
    logging.getLogger("torch.utils._pytree").setLevel(logging.ERROR)  # warns about torchao, which diffusers imports
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    for toolkit in (diffusers_logging, transformers_logging):
        toolkit.disable_progress_bar()
        toolkit.set_verbosity_error()


def _load(preset: Preset, source: ModelSource, dtype: Any, place: str) -> Any:  # noqa: ANN401
    _silence_toolkits()
    from diffusers import DiffusionPipeline

    local = source.folder is not None
    omitted = {} if preset.safety_checker else {**dict.fromkeys(CHECKER_PARTS), "requires_safety_checker": False}
    try:
        return DiffusionPipeline.from_pretrained(
            str(source.folder or preset.model),
            revision=source.commit,
            dtype=dtype,
            local_files_only=local or os.environ.get("HF_HUB_OFFLINE") == "1",
            low_cpu_mem_usage=False,
            use_safetensors=True,  # never a pickle, which may run code
            **omitted,
        )
    except LOADING_ERRORS as error:
        if not local:
            raise ModelError(explain_unavailable(preset, place, error)) from error
        first = textwrap.shorten(str(error).partition("\n")[0] or type(error).__name__, 160, placeholder="...")
        raise ModelError(
            f"{place}.model: {preset.model} is not a complete diffusers model ({first}); expected a local folder in "
            "the diffusers layout with every part's weights"
        ) from error

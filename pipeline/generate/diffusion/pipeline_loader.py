"""Opens a preset's pipeline: device, dtype, parts, scheduler; says what is wrong with it before anything is drawn.

Reads a model folder, or the hub's cache. Writes nothing.
"""

from __future__ import annotations

import logging
import os
import textwrap
from typing import Any

from pipeline.errors import ModelError, ParamsError
from pipeline.generate.diffusion.model_source import CHECKER, Source, not_to_be_had
from pipeline.generate.diffusion.presets import HALF_ON_CPU, Preset

SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "dpmsolver++": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
    "ddim": ("DDIMScheduler", {"clip_sample": False}),  # its default clips, which is meant for pixels, not for latents
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_ancestral": ("EulerAncestralDiscreteScheduler", {}),
    "lcm": ("LCMScheduler", {}),
}


def pick_dtype(wanted: str, device: str, place: str) -> str:
    """The dtype to draw in; "auto" is float16 on CUDA and float32 elsewhere.

    Raises:
        ParamsError: float16 on a CPU.
    """
    if wanted == "float16" and device == "cpu":
        raise ParamsError(f"{place}.dtype: {HALF_ON_CPU}")
    if wanted == "auto":
        return "float16" if device == "cuda" else "float32"
    return wanted


def open_pipeline(preset: Preset, source: Source, device: str, place: str) -> Any:  # noqa: ANN401 - diffusers is untyped
    """Load a pipeline and make it ready to draw on ``device``.

    Raises:
        ParamsError: The device, the dtype, the size or the negative prompt does not go with the machine or the model.
        ModelError: The model is neither a whole diffusers folder nor to be had from the hub.
    """
    import torch

    dtype = pick_dtype(preset.dtype, device, place)
    pipe = _load(preset, source, getattr(torch, dtype), place)
    check_size(pipe, preset, place)
    if preset.negative_prompt and is_told_guidance(pipe):
        raise ParamsError(
            f"{place}.negative_prompt: {preset.negative_prompt!r}; expected an empty one: {preset.model} is told its "
            "guidance instead of being asked twice, so there is nothing that a negative prompt could stand in for"
        )
    if preset.safety_checker and getattr(pipe, "safety_checker", None) is None:
        raise ParamsError(f"{place}.safety_checker: true, but {preset.model} has none; expected false")
    set_scheduler(pipe, preset.scheduler)
    pipe.set_progress_bar_config(disable=True)
    pipe.to(device)
    for name in ("unet", "vae"):
        if preset.channels_last and getattr(pipe, name, None) is not None:
            getattr(pipe, name).to(memory_format=torch.channels_last)
    if preset.compile:
        pipe.unet = torch.compile(pipe.unet)
    return pipe


def is_told_guidance(pipe: Any) -> bool:  # noqa: ANN401
    """Whether the UNet takes the guidance as an input (Meng et al., CVPR 2023): then a step looks once, not twice."""
    unet = getattr(pipe, "unet", None)
    return unet is not None and unet.config.get("time_cond_proj_dim") is not None


def check_size(pipe: Any, preset: Preset, place: str) -> None:  # noqa: ANN401
    """Compare the size with what the autoencoder can make and the UNet can halve.

    Raises:
        ParamsError: No such picture can be made.
    """
    scale = int(getattr(pipe, "vae_scale_factor", 8))
    unet = getattr(pipe, "unet", None)
    smallest = scale * 2 ** (len(unet.config.block_out_channels) - 1) if unet is not None else scale
    for name, pixels in (("width", preset.width), ("height", preset.height)):
        if pixels % scale:
            near = max(smallest, round(pixels / scale) * scale)
            raise ParamsError(
                f"{place}.{name}: {pixels}; expected a multiple of {scale}, which is what this model's autoencoder can "
                f"make, e.g. {near}"
            )
        if pixels < smallest:
            raise ParamsError(
                f"{place}.{name}: {pixels}; expected {smallest} or more: below, nothing is left of a picture where "
                "this model's UNet is coarsest"
            )


def set_scheduler(pipe: Any, name: str) -> None:  # noqa: ANN401
    """Give a pipeline a scheduler with the noise schedule of its model; "own" keeps the model's.

    A model that learned from pure noise on (Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed",
    2023) must begin there, at the last step, which of all spacings only "trailing" does.
    """
    import diffusers

    if name == "own":
        return
    kind, options = SCHEDULERS[name]
    config = pipe.scheduler.config
    if config.get("rescale_betas_zero_snr"):
        options = {**options, "timestep_spacing": "trailing"}
    pipe.scheduler = getattr(diffusers, kind).from_config(config, **options)


def _quieten() -> None:
    """Leave the terminal to Gossamer's own progress; what goes wrong is raised."""
    logging.getLogger("torch.utils._pytree").setLevel(logging.ERROR)  # speaks of torchao, which diffusers imports
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    for toolkit in (diffusers_logging, transformers_logging):
        toolkit.disable_progress_bar()
        toolkit.set_verbosity_error()


def _load(preset: Preset, source: Source, dtype: Any, place: str) -> Any:  # noqa: ANN401
    _quieten()
    from diffusers import DiffusionPipeline

    local = source.folder is not None
    unchecked = {} if preset.safety_checker else {**dict.fromkeys(CHECKER), "requires_safety_checker": False}
    try:
        return DiffusionPipeline.from_pretrained(
            str(source.folder or preset.model),
            revision=source.commit,
            dtype=dtype,
            local_files_only=local or os.environ.get("HF_HUB_OFFLINE") == "1",
            low_cpu_mem_usage=False,
            **unchecked,
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        if not local:
            raise ModelError(not_to_be_had(preset, place, error)) from error
        first = textwrap.shorten(str(error).partition("\n")[0] or type(error).__name__, 160, placeholder="...")
        raise ModelError(
            f"{place}.model: {preset.model} is not a whole diffusers model ({first}); expected a local folder in the "
            "diffusers layout with every part's weights"
        ) from error

"""Any diffusers text-to-image pipeline: a hub id, or a local folder in the diffusers layout.

Every picture has a noise generator of its own, seeded by its prompt and drawn on the CPU, so that it depends neither
on the device nor on the pictures beside it (numerics apart).
"""

from __future__ import annotations

import hashlib
import os
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.errors import ModelError, ParamsError, PolicyError
from pipeline.generators import Draw
from pipeline.params import Section
from pipeline.records import Prompt

PARALLEL = False

SCHEDULERS = {
    "dpmsolver++": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
    "ddim": ("DDIMScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "lcm": ("LCMScheduler", {}),
}


class Params(Section):
    """What ``generate.stable_diffusion`` of params.yaml may say; guidance 1 or less is no guidance."""

    model: str
    revision: str | None
    scheduler: Literal["dpmsolver++", "ddim", "euler", "lcm"]
    steps: Annotated[int, Field(ge=1)]
    guidance: Annotated[float, Field(ge=0)]
    negative_prompt: str
    dtype: Literal["float32", "float16", "bfloat16"]
    device: Literal["auto", "cpu", "cuda", "mps"]
    batch_size: Annotated[int, Field(ge=1)]


def create(params: Params, size: tuple[int, int]) -> Draw:
    """Open a pipeline for pictures of ``size`` (width, height) pixels.

    Raises:
        ParamsError: The size is none the autoencoder can make, a negative prompt stands without guidance, or the device
            is not there.
        ModelError: The model is neither a whole diffusers folder nor to be had from the hub.
    """
    if params.negative_prompt and params.guidance <= 1:
        raise ParamsError(
            f"params.yaml generate.stable_diffusion.negative_prompt: {params.negative_prompt!r} with guidance "
            f"{params.guidance}; expected guidance above 1, or an empty one: without guidance it has no effect"
        )
    device = _device(params.device)
    pipe = _load(params).to(device)
    _check_size(pipe, size)
    _set_scheduler(pipe, params.scheduler)
    pipe.set_progress_bar_config(disable=True)

    def draw(prompts: Sequence[Prompt]) -> Iterator[NDArray[np.float32]]:
        _check_captions(pipe, prompts)
        for first in range(0, len(prompts), params.batch_size):
            yield from _draw_batch(pipe, params, prompts[first : first + params.batch_size], size)

    return draw


def fingerprint(params: Params) -> str:
    """Names, sizes and times of a local model's files; a hub id with its revision."""
    folder = Path(params.model)
    if not folder.is_dir():
        return f"{params.model}@{params.revision}"
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    facts = [f"{path.relative_to(folder)} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


def _device(wanted: str) -> str:
    import torch

    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if there[name])
    if not there[wanted]:
        found = ", ".join(name for name, is_there in there.items() if is_there)
        raise ParamsError(f"params.yaml generate.stable_diffusion.device: {wanted}; this machine has {found}; or: auto")
    return wanted


def _load(params: Params) -> Any:  # noqa: ANN401 - diffusers is untyped
    import torch
    from diffusers import DiffusionPipeline
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    for logging in (diffusers_logging, transformers_logging):  # Gossamer shows progress of its own
        logging.disable_progress_bar()
        logging.set_verbosity_error()
    folder = Path(params.model)
    local = folder.is_dir()
    if local and not (folder / "model_index.json").is_file():
        raise ModelError(
            f"params.yaml generate.stable_diffusion.model: {folder} has no model_index.json; expected a folder in the "
            "diffusers layout"
        )
    try:
        return DiffusionPipeline.from_pretrained(
            params.model,
            revision=None if local else params.revision,
            dtype=getattr(torch, params.dtype),
            local_files_only=local or os.environ.get("HF_HUB_OFFLINE") == "1",
            safety_checker=None,
            requires_safety_checker=False,
            low_cpu_mem_usage=False,
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        first = textwrap.shorten(str(error).partition(":")[0] or type(error).__name__, 160, placeholder="...")
        found = "is not a whole diffusers model" if local else "is no folder here, and the hub did not give it"
        raise ModelError(
            f"params.yaml generate.stable_diffusion.model: {params.model} {found} ({first}); expected a local folder "
            "in the diffusers layout, or a hub id and a network; or set generate.generator: rendered"
        ) from error


def _check_size(pipe: Any, size: tuple[int, int]) -> None:  # noqa: ANN401
    scale = int(getattr(pipe, "vae_scale_factor", 8))
    for name, pixels in zip(("width", "height"), size, strict=True):
        if pixels % scale:
            near = max(scale, round(pixels / scale) * scale)
            raise ParamsError(
                f"params.yaml generate.{name}: {pixels}; expected a multiple of {scale}, which is what this model's "
                f"autoencoder can make, e.g. {near}"
            )


def _check_captions(pipe: Any, prompts: Sequence[Prompt]) -> None:  # noqa: ANN401
    """A text encoder cuts long captions without a word; what it would not read must not count as asked for."""
    limit = pipe.tokenizer.model_max_length
    lengths = [len(tokens) for tokens in pipe.tokenizer([prompt.text for prompt in prompts]).input_ids]
    longest = max(range(len(prompts)), key=lengths.__getitem__)
    if lengths[longest] > limit:
        raise PolicyError(
            f"prompt {prompts[longest].id}: {lengths[longest]} tokens; expected at most {limit}, all that this model's "
            f"text encoder reads; shorten the policy's caption or phrases: {prompts[longest].text!r}"
        )


def _set_scheduler(pipe: Any, name: str) -> None:  # noqa: ANN401
    import diffusers

    kind, options = SCHEDULERS[name]
    pipe.scheduler = getattr(diffusers, kind).from_config(pipe.scheduler.config, **options)


def _draw_batch(
    pipe: Any,  # noqa: ANN401
    params: Params,
    prompts: Sequence[Prompt],
    size: tuple[int, int],
) -> NDArray[np.float32]:
    import torch

    with torch.inference_mode():
        result = pipe(
            prompt=[prompt.text for prompt in prompts],
            negative_prompt=[params.negative_prompt] * len(prompts) if params.negative_prompt else None,
            width=size[0],
            height=size[1],
            num_inference_steps=params.steps,
            guidance_scale=params.guidance,
            generator=[torch.Generator("cpu").manual_seed(prompt.seed) for prompt in prompts],
            output_type="np",
        )
    return np.asarray(result.images, np.float32)

"""Draws prompts with an open pipeline.

Every picture has a noise generator of its own, seeded by its prompt and drawn on the CPU, so that it depends neither
on the device nor on the pictures beside it (numerics apart).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.data.hashing import folder_bytes
from pipeline.data.records import Prompt
from pipeline.errors import PolicyError
from pipeline.generate.diffusion.batch_size import cpu_batch, cuda_batch
from pipeline.generate.diffusion.model_source import find_source, local_folder
from pipeline.generate.diffusion.pipeline_loader import is_told_guidance, open_pipeline
from pipeline.generate.diffusion.presets import Preset
from pipeline.generate.generators import Picture
from pipeline.machine.devices import choose_device, torch_threads

SMALL_BYTES = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Sampler:
    """An open pipeline and how to call it.

    Attributes:
        pipe: The diffusers pipeline.
        preset: What it draws, and how.
        batch_size: Pictures at once.
        threads: Of torch, while it draws; None leaves them as they are.
        unguided: Embedding of the negative (or empty) prompt, where the pipeline lets us encode: (1, tokens, width).
    """

    pipe: Any
    preset: Preset
    batch_size: int
    threads: int | None
    unguided: Any

    def draw(self, prompts: Sequence[Prompt]) -> list[Picture]:
        """Draw one batch: float32 (height, width, 3) RGB in 0..1 each, and what the safety checker says."""
        import torch

        with torch.inference_mode(), torch_threads(self.threads):
            result = self.pipe(
                **self._texts([prompt.text for prompt in prompts]),
                width=self.preset.width,
                height=self.preset.height,
                num_inference_steps=self.preset.steps,
                guidance_scale=self.preset.guidance,
                generator=[torch.Generator("cpu").manual_seed(prompt.seed) for prompt in prompts],
                output_type="np",
            )
        blanked = getattr(result, "nsfw_content_detected", None) or [False] * len(prompts)
        drawn = np.asarray(result.images, np.float32)
        return [Picture(pixels, "nsfw" if flag else None) for pixels, flag in zip(drawn, blanked, strict=True)]

    def check_captions(self, prompts: Sequence[Prompt]) -> None:
        """A text encoder cuts long captions without a word; what it would not read must not count as asked for.

        Raises:
            PolicyError: A caption is too long.
        """
        limit = self.pipe.tokenizer.model_max_length
        lengths = [len(tokens) for tokens in self.pipe.tokenizer([prompt.text for prompt in prompts]).input_ids]
        longest = max(range(len(prompts)), key=lengths.__getitem__)
        if lengths[longest] > limit:
            raise PolicyError(
                f"prompt {prompts[longest].id}: {lengths[longest]} tokens; expected at most {limit}, all that this "
                f"model's text encoder reads; shorten the policy's caption or phrases: {prompts[longest].text!r}"
            )

    def _texts(self, texts: list[str]) -> dict[str, Any]:
        if not _encodes(self.pipe):
            negative = [self.preset.negative_prompt] * len(texts) if self.preset.negative_prompt else None
            return {"prompt": texts, "negative_prompt": negative}
        embeds = {"prompt_embeds": _encode(self.pipe, texts)}
        if self.unguided is not None:
            embeds["negative_prompt_embeds"] = self.unguided.expand(len(texts), -1, -1)
        return embeds


def open_sampler(preset: Preset, place: str) -> Sampler:
    """Open a preset's model; ``place`` names the preset in messages.

    Raises:
        ParamsError: The device, the dtype or the size does not go with the machine or the model.
        ModelError: The model is not whole, or not to be had.
    """
    import torch

    device = choose_device(preset.device, place)
    pipe = open_pipeline(preset, find_source(preset, place), device, place)
    threads = 1 if is_small(preset, device) else None
    unguided = None
    if preset.guidance > 1 and _encodes(pipe) and not is_told_guidance(pipe):
        with torch.inference_mode(), torch_threads(threads):
            unguided = _encode(pipe, [preset.negative_prompt])
    return Sampler(pipe, preset, _batch_size(pipe, preset, device), threads, unguided)


def is_small(preset: Preset, device: str) -> bool:
    """Whether several processes may each hold the model: it lies here, is small, and the CPU draws.

    Such a model is drawn on one thread a process, however many processes there are: then their number changes no bit.
    """
    folder = local_folder(preset.model)
    return device == "cpu" and folder is not None and folder_bytes(folder) < SMALL_BYTES


def _encodes(pipe: Any) -> bool:  # noqa: ANN401
    """Whether texts may be encoded apart: a plain Stable Diffusion; others want more than one embedding."""
    from diffusers import StableDiffusionPipeline

    return isinstance(pipe, StableDiffusionPipeline)


def _encode(pipe: Any, texts: list[str]) -> Any:  # noqa: ANN401
    return pipe.encode_prompt(texts, pipe.device, 1, do_classifier_free_guidance=False)[0]


def _batch_size(pipe: Any, preset: Preset, device: str) -> int:  # noqa: ANN401
    import torch

    if isinstance(preset.batch_size, int):
        return preset.batch_size
    if device != "cuda":
        return cpu_batch(preset.width, preset.height)
    models = [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]
    taken = sum(weights.numel() * weights.element_size() for model in models for weights in model.parameters())
    total = torch.cuda.get_device_properties(pipe.device).total_memory  # not what is free: that would vary
    return cuda_batch(preset.width, preset.height, 0.9 * total - taken, pipe.dtype.itemsize)

"""Draws images of prompts with a loaded diffusers pipeline.

Every image has its own noise generator, on the CPU and seeded by its prompt, so up to rounding it depends neither on
the device nor on the other images of its batch.
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
from pipeline.generate.diffusion.pipeline_loader import has_guidance_input, open_pipeline
from pipeline.generate.diffusion.presets import Preset
from pipeline.generate.generated_image import GeneratedImage
from pipeline.machine.devices import choose_device, torch_threads

SMALL_BYTES = 1_000_000_000
"""Size of a model folder below which every worker process may load it."""


@dataclass(frozen=True, slots=True)
class Sampler:
    """A loaded pipeline and its settings.

    Attributes:
        pipe: The diffusers pipeline.
        preset: Image size, steps and guidance.
        batch_size: Images per batch.
        threads: Number of torch threads during drawing; None: unchanged.
        negative_embedding: Embedding of the negative (or empty) prompt, (1, tokens, width); None: the pipeline encodes
            it, or there is no guidance.
    """

    pipe: Any
    preset: Preset
    batch_size: int
    threads: int | None
    negative_embedding: Any

    def draw(self, prompts: Sequence[Prompt]) -> list[GeneratedImage]:
        """Draw one batch: float32 (height, width, 3) RGB in 0..1 each; fault "nsfw" if the safety checker objects."""
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
        return [GeneratedImage(pixels, "nsfw" if flag else None) for pixels, flag in zip(drawn, blanked, strict=True)]

    def check_captions(self, prompts: Sequence[Prompt]) -> None:
        """Check that the text encoder reads captions to their end: it would truncate longer ones silently.

        Raises:
            PolicyError: A caption is too long.
        """
        limit = self.pipe.tokenizer.model_max_length
        lengths = [len(tokens) for tokens in self.pipe.tokenizer([prompt.text for prompt in prompts]).input_ids]
        longest = max(range(len(prompts)), key=lengths.__getitem__)
        if lengths[longest] > limit:
            raise PolicyError(
                f"prompt {prompts[longest].id}: {lengths[longest]} tokens; expected at most {limit}, the limit of "
                f"this model's text encoder; shorten the policy's caption or phrases: {prompts[longest].text!r}"
            )

    def _texts(self, texts: list[str]) -> dict[str, Any]:
        if not _encodes(self.pipe):
            negative = [self.preset.negative_prompt] * len(texts) if self.preset.negative_prompt else None
            return {"prompt": texts, "negative_prompt": negative}
        embeds = {"prompt_embeds": _encode(self.pipe, texts)}
        if self.negative_embedding is not None:
            embeds["negative_prompt_embeds"] = self.negative_embedding.expand(len(texts), -1, -1)
        return embeds


def open_sampler(preset: Preset, place: str) -> Sampler:
    """Load a preset's model.

    Args:
        preset: Model and settings.
        place: Path of the preset in params.yaml, for messages.

    Raises:
        ParamsError: Device, dtype, size or negative prompt do not fit the machine or the model.
        ModelError: The model is incomplete or not available.
    """
    import torch

    device = choose_device(preset.device, place)
    pipe = open_pipeline(preset, find_source(preset, place), device, place)
    threads = 1 if is_small(preset, device) else None
    negative_embedding = None
    if preset.guidance > 1 and _encodes(pipe) and not has_guidance_input(pipe):
        with torch.inference_mode(), torch_threads(threads):
            negative_embedding = _encode(pipe, [preset.negative_prompt])
    return Sampler(pipe, preset, _batch_size(pipe, preset, device), threads, negative_embedding)


def is_small(preset: Preset, device: str) -> bool:
    """Whether several processes may each load the model: it is local and small, and runs on the CPU.

    Each process then uses one thread, so that the number of processes does not change the images.
    """
    folder = local_folder(preset.model)
    return device == "cpu" and folder is not None and folder_bytes(folder) < SMALL_BYTES


def _encodes(pipe: Any) -> bool:  # noqa: ANN401
    """Whether prompts can be encoded outside the pipeline: true for plain Stable Diffusion, which has one encoder."""
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
    model_bytes = sum(weights.numel() * weights.element_size() for model in models for weights in model.parameters())
    total = torch.cuda.get_device_properties(pipe.device).total_memory  # not the free memory, which varies
    return cuda_batch(preset.width, preset.height, 0.9 * total - model_bytes, pipe.dtype.itemsize)

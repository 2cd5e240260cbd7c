"""A preset of params.yaml: which diffusion model to use, how to sample from it, at which size, on which device.

Validates all that needs no model, so that wrong values are errors before anything is loaded or downloaded.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pipeline.config.fields import Section, Side, accept_renamed

BUNDLED, FORMER_NAME = "bundled", "embedded"
"""Name of the model that comes with Gossamer, as a preset and as a model, and the name it had before."""
Scheduler = Literal["dpmsolver++", "ddim", "euler", "euler_ancestral", "lcm", "own"]


def _auto_or_count(value: int | str) -> int | str:
    if value != "auto" and (isinstance(value, str) or value < 1):
        raise ValueError("expected auto, or a number of images, 1 or more")
    return value


class Preset(Section):
    """One block of ``generate.stable_diffusion.presets``.

    Attributes:
        model: "bundled" (the model that comes with Gossamer), a hub id, or a local folder in the diffusers layout.
        revision: Branch, tag or commit of a hub id; null: its main branch.
        width: Width of the images in pixels; smaller than ``height``.
        height: Height of the images in pixels.
        scheduler: Sampler of diffusers; "own" keeps the model's.
        steps: Denoising steps.
        guidance: Scale of classifier-free guidance; 1 or less: none.
        negative_prompt: What guidance steers away from; needs guidance above 1.
        dtype: "auto" is float16 on CUDA and float32 elsewhere.
        batch_size: Images per batch; "auto" derives it from the image size and, on CUDA, the device's memory.
        device: "auto" is the best device of this machine.
        channels_last: Whether UNet and autoencoder use the channels-last memory layout, where it is safe
            (``pipeline.machine.memory_layout``).
        compile: Whether to compile the UNet: takes minutes, and pays off over thousands of images.
        safety_checker: Whether the model's own safety checker blanks images; curation rejects those as "nsfw".
        licence_acknowledged: Name of the model's licence, if it forbids commercial use and you have read it.
    """

    model: Annotated[str, Field(min_length=1), accept_renamed(FORMER_NAME, BUNDLED)]
    revision: str | None
    width: Side
    height: Side
    scheduler: Scheduler
    steps: Annotated[int, Field(ge=1, le=1000)]
    guidance: Annotated[float, Field(ge=0)]
    negative_prompt: str
    dtype: Literal["auto", "float32", "float16", "bfloat16"]
    batch_size: Annotated[int | str, AfterValidator(_auto_or_count)]
    device: Literal["auto", "cpu", "cuda", "mps"]
    channels_last: bool
    compile: bool
    safety_checker: bool
    licence_acknowledged: str | None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.width >= self.height:
            raise ValueError(f"width: {self.width} with height {self.height}; expected a portrait: width below height")
        if self.negative_prompt and self.guidance <= 1:
            raise ValueError(
                f"negative_prompt: {self.negative_prompt!r} with guidance {self.guidance}; expected guidance above 1, "
                "or an empty one: without guidance it has no effect"
            )
        if (self.dtype, self.device) == ("float16", "cpu"):
            raise ValueError(f"dtype: {HALF_ON_CPU}")
        return self


HALF_ON_CPU = (
    "float16 on the CPU, where it is slow and many operations lack it; expected auto, float32 or bfloat16, or device: "
    "cuda"
)

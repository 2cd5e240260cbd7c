"""The procedural renderer as a generator: pictures whose every factor is certain.

Not a diffusion model, and never called one: it is the reference world, in which every label is certain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.config.fields import Section, Side
from pipeline.data.records import Prompt
from pipeline.errors import PolicyError
from pipeline.generate.generators import Description, Draw, Picture
from pipeline.renderer import render


class Params(Section):
    """Size of the pictures in pixels; all else the policy says."""

    width: Side
    height: Side


def create(params: Params) -> Draw:
    """Open the renderer."""
    size = (params.width, params.height)

    def draw(prompts: Sequence[Prompt]) -> Iterator[Picture]:
        for prompt in prompts:
            try:
                yield Picture(render(prompt.factors, prompt.seed, size))
            except ValueError as error:
                raise PolicyError(f"prompt {prompt.id}: the renderer cannot draw it: {error}") from error

    return draw


def processes(params: Params, wanted: int) -> int:  # noqa: ARG001 - every generator takes its params
    """As many as there may be."""
    return wanted


def describe(params: Params) -> Description:
    """No model: Gossamer's own code, and its licence."""
    return Description(
        kind="drawn by a procedural renderer, not a diffusion model",
        model=None,
        revision=None,
        licence="apache-2.0",
        licence_tag="apache-2.0",
        settings=params.model_dump(mode="json"),
    )

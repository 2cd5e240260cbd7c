"""Generator ``rendered``: portraits drawn by the procedural renderer from a prompt's factors.

No diffusion model: label and factors of every image are certain, which makes it the reference for the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.config.fields import Section, Side
from pipeline.config.vocabulary import Vocabulary
from pipeline.data.records import Prompt
from pipeline.errors import PolicyError
from pipeline.generate.generated_image import GeneratedImage
from pipeline.generate.generators import Description, Draw
from pipeline.renderer import render
from pipeline.renderer.vocabulary import VOCABULARY


class Params(Section):
    """Size of the images in pixels; the prompt's factors determine the rest."""

    width: Side
    height: Side


def create(params: Params) -> Draw:
    """Prepare drawing: uint8 (height, width, 3) RGB per prompt."""
    size = (params.width, params.height)

    def draw(prompts: Sequence[Prompt]) -> Iterator[GeneratedImage]:
        for prompt in prompts:
            try:
                yield GeneratedImage(render(prompt.factors, prompt.seed, size))
            except ValueError as error:
                raise PolicyError(
                    f"prompt {prompt.id}: the renderer cannot draw it: {error}; change the policy (gossamer policy "
                    "check lists all that it cannot draw), or choose generate.generator: stable_diffusion"
                ) from error

    return draw


def processes(params: Params, requested: int) -> int:  # noqa: ARG001 - every generator takes its params
    """Allow the requested number of processes."""
    return requested


def vocabulary(params: Params) -> Vocabulary:  # noqa: ARG001
    """State the factors and values that the renderer draws."""
    return Vocabulary(factors=VOCABULARY)


def describe(params: Params) -> Description:
    """Describe the origin: no model, Gossamer's own code and licence."""
    return Description(
        kind="drawn by a procedural renderer, not a diffusion model",
        model=None,
        revision=None,
        licence="apache-2.0",
        licence_tag="apache-2.0",
        settings=params.model_dump(mode="json"),
    )

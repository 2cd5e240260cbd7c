"""The procedural renderer as a generator: pictures whose every factor is certain.

Not a diffusion model, and never called one: it is the reference world, and the offline default.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PolicyError
from pipeline.generators import Draw
from pipeline.params import Section
from pipeline.records import Prompt
from pipeline.renderer import render

PARALLEL = True


class Params(Section):
    """The renderer has no choices of its own: the policy makes them."""


def create(params: Params, size: tuple[int, int]) -> Draw:  # noqa: ARG001 - every generator takes its params
    """Open the renderer for pictures of ``size`` (width, height) pixels."""

    def draw(prompts: Sequence[Prompt]) -> Iterator[NDArray[np.uint8]]:
        for prompt in prompts:
            try:
                yield render(prompt.factors, prompt.seed, size)
            except ValueError as error:
                raise PolicyError(f"prompt {prompt.id}: the renderer cannot draw it: {error}") from error

    return draw


def fingerprint(params: Params) -> str:  # noqa: ARG001
    """Nothing beside code and params."""
    return ""

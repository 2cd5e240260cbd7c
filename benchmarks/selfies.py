"""Stage: the test set, portrait selfies that training never uses.

Reads a policy, whose scenes are drawn from the seed ``selfies.seed`` and rendered, so that label and factors are exact;
or a folder of photographs with labels. Writes data/selfies/: tar shards, index.jsonl, and rejected.jsonl with the files
of the folder of photographs that were not taken and the reasons.

Ids and groups start with ``selfie-``, so that no selfie can be mistaken for a training image.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.progress import track

from pipeline.config.params import SelfiesParams
from pipeline.config.policy import Policy
from pipeline.data.photo_folder import REJECTED, write_rejections
from pipeline.data.preprocess import Pixels, encode_png
from pipeline.data.records import Image, Prompt, Rejection
from pipeline.data.shards import Encoded, write_images
from pipeline.errors import DataError, ParamsError, PolicyError
from pipeline.machine.process_pool import open_pool
from pipeline.prompts.prompt_sampler import draw_prompts
from pipeline.renderer import render

PREFIX = "selfie-"
Render = Callable[[Mapping[str, str], int, tuple[int, int]], Pixels]
"""(factors, seed, (width, height)) -> uint8 (height, width, 3) RGB."""
_CHUNK = 16
"""Scenes that a worker process renders per task."""


class Photographs(Protocol):
    """A folder of photographs that is being read; ``rejections`` is complete once ``images`` is exhausted."""

    @property
    def images(self) -> Iterable[Encoded]:
        """Encoded images, upright, with label and group."""

    @property
    def rejections(self) -> Sequence[Rejection]:
        """Files that were not taken."""


@dataclass(frozen=True, slots=True)
class RenderedScenes:
    """Selfies to render.

    Attributes:
        prompts: One per selfie; its label and factors become the selfie's.
        size: (width, height) in pixels.
        render: Renders one selfie; a module-level function if ``workers`` > 1.
        workers: Worker processes; images and their order do not depend on it.
    """

    prompts: Sequence[Prompt]
    size: tuple[int, int]
    render: Render
    workers: int = 2


Source = RenderedScenes | Photographs


@dataclass(frozen=True, slots=True)
class SelfiesResult:
    """Selfies that were written, and photographs that could not be read."""

    images: tuple[Image, ...]
    rejections: tuple[Rejection, ...]


def draw_scenes(params: SelfiesParams, policy: Policy) -> RenderedScenes:
    """Draw the scenes of ``params.count`` selfies from ``params.seed``."""
    size = (params.width, params.height)
    return RenderedScenes(draw_prompts(policy, params.count, 1, params.seed), size, render_scene)


def folder_of(params: SelfiesParams) -> Path:
    """Return ``selfies.folder`` of the params.

    Raises:
        ParamsError: It is null.
    """
    if params.folder is None:
        raise ParamsError("params.yaml selfies.folder: null; source is photos; expected a folder of LABEL/*.jpg")
    return params.folder


def render_scene(factors: Mapping[str, str], seed: int, size: tuple[int, int]) -> Pixels:
    """Render one scene: uint8 (height, width, 3) RGB.

    Raises:
        PolicyError: The policy has a factor or value that the renderer cannot draw.
    """
    try:
        return render(factors, seed, size)
    except ValueError as error:
        raise PolicyError(
            f"the renderer cannot draw a selfie: {error}; change the policy (gossamer policy check lists all that it "
            "cannot draw), or take photographs: set selfies.source: photos and selfies.folder"
        ) from error


def run(params: SelfiesParams, source: Source, out: Path) -> SelfiesResult:
    """Write the selfies.

    Args:
        params: Only ``count`` and ``images_per_shard`` are used; the other params chose the source.
        source: Scenes to render, or photographs.
        out: Folder to write, usually data/selfies.

    Raises:
        DataError: There are no photographs, or fewer scenes than ``count``.
    """
    rejections: Sequence[Rejection] = ()
    if isinstance(source, RenderedScenes):
        if len(source.prompts) < params.count:
            raise DataError(
                f"params.yaml selfies.count: {params.count}, but the policy gave {len(source.prompts)} scenes; "
                "lower the count, or add values to the policy's factors"
            )
        images = write_images(out, _rendered(source, params.count), params.images_per_shard)
    else:
        images = write_images(out, map(_with_prefix, source.images), params.images_per_shard)
        rejections = source.rejections
    if not images:
        reason = (
            f"; the first of {len(rejections)} that could not be read: {rejections[0].detail}" if rejections else ""
        )
        raise DataError(
            f"params.yaml selfies.folder: {params.folder} gave no photograph{reason}; expected FOLDER/LABEL/*.jpg"
        )
    write_rejections(out / REJECTED, rejections, len(images))
    return SelfiesResult(tuple(images), tuple(rejections))


def _rendered(scenes: RenderedScenes, count: int) -> Iterator[Encoded]:
    draw = partial(_draw, render=scenes.render, size=scenes.size)
    prompts = scenes.prompts[:count]
    with ExitStack() as stack:
        if scenes.workers > 1 and len(prompts) > _CHUNK:
            pool = stack.enter_context(open_pool(scenes.workers))
            drawn = pool.map(draw, prompts, chunksize=_CHUNK)
        else:
            drawn = map(draw, prompts)
        console = Console(file=sys.stderr)
        yield from track(drawn, "selfies", total=len(prompts), console=console, disable=not console.is_terminal)


def _draw(prompt: Prompt, render: Render, size: tuple[int, int]) -> Encoded:
    pixels = render(prompt.factors, prompt.seed, size)
    height, width = pixels.shape[:2]
    image = Encoded(prompt.id, prompt.group, prompt.label, prompt.factors, encode_png(pixels), width, height)
    return _with_prefix(image)


def _with_prefix(image: Encoded) -> Encoded:
    return replace(image, id=f"{PREFIX}{image.id}", group=f"{PREFIX}{image.group}")

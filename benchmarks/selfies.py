"""Stage: portrait selfies that training never sees, with exact labels and, where they are rendered, exact factors.

Reads prompts of scenes drawn from the selfies' own seed, or a folder of photographs. Writes data/selfies/:
tar shards, index.jsonl and rejected.jsonl (photographs that could not be read, with the reason).

Ids and groups carry the prefix ``selfie-``, so that no selfie can be taken for a training image.
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
from pipeline.data.preprocess import Pixels, encode_png
from pipeline.data.records import Image, Prompt, Rejection
from pipeline.data.shards import Encoded, write_images
from pipeline.data.storage import write_rows
from pipeline.errors import DataError, ParamsError, PolicyError
from pipeline.machine.process_pool import open_pool
from pipeline.prompts.prompt_sampler import draw_prompts
from pipeline.renderer import render

PREFIX = "selfie-"
REJECTED = "rejected.jsonl"
Render = Callable[[Mapping[str, str], int, tuple[int, int]], Pixels]
_CHUNK = 16


class Photographs(Protocol):
    """A folder of photographs being read; rejections are complete once the images are used up."""

    @property
    def images(self) -> Iterable[Encoded]:
        """Encoded images, upright, with label and group."""

    @property
    def rejections(self) -> Sequence[Rejection]:
        """Those that could not be read."""


@dataclass(frozen=True, slots=True)
class RenderedScenes:
    """Selfies to render.

    Attributes:
        prompts: Drawn from the selfies' seed; label and factors are kept.
        size: (width, height) in pixels.
        render: (factors, seed, size) -> uint8 (height, width, 3) RGB; a module-level function when workers > 1.
        workers: Processes; the pictures and their order do not depend on it.
    """

    prompts: Sequence[Prompt]
    size: tuple[int, int]
    render: Render
    workers: int = 2


Source = RenderedScenes | Photographs


@dataclass(frozen=True, slots=True)
class SelfiesResult:
    """What was written, and what was put aside."""

    images: tuple[Image, ...]
    rejections: tuple[Rejection, ...]


def draw_scenes(params: SelfiesParams, policy: Policy) -> RenderedScenes:
    """Draw scenes from the selfies' own seed, one picture a caption."""
    size = (params.width, params.height)
    return RenderedScenes(draw_prompts(policy, params.count, 1, params.seed), size, render_scene)


def folder_of(params: SelfiesParams) -> Path:
    """The folder of photographs.

    Raises:
        ParamsError: None is named.
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
        raise PolicyError(f"the renderer cannot draw a selfie: {error}") from error


def run(params: SelfiesParams, source: Source, out: Path) -> SelfiesResult:
    """Write the selfies.

    Args:
        params: ``count`` and ``images_per_shard`` are used here; the caller chose the source by the rest.
        source: Scenes to render, or photographs being read.
        out: The folder, usually data/selfies.

    Raises:
        DataError: There is nothing to write, or fewer scenes than ``count``.
    """
    rejections: Sequence[Rejection] = ()
    if isinstance(source, RenderedScenes):
        if len(source.prompts) < params.count:
            raise DataError(
                f"params.yaml selfies.count: {params.count}, but the policy gave {len(source.prompts)} scenes; "
                f"ask for fewer or widen the policy"
            )
        images = write_images(out, _rendered(source, params.count), params.images_per_shard)
    else:
        images = write_images(out, map(_apart, source.images), params.images_per_shard)
        rejections = source.rejections
    if not images:
        reason = f"; the first of {len(rejections)} put aside: {rejections[0].detail}" if rejections else ""
        raise DataError(
            f"params.yaml selfies.folder: {params.folder} gave no photograph{reason}; expected FOLDER/LABEL/*.jpg"
        )
    write_rows(out / REJECTED, rejections)
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
    return _apart(image)


def _apart(image: Encoded) -> Encoded:
    return replace(image, id=f"{PREFIX}{image.id}", group=f"{PREFIX}{image.group}")

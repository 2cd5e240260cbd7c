"""Stage: the test sets, which training never uses: rendered selfies, and folders of photographs.

Reads a policy, whose scenes are drawn from the seed ``selfies.seed`` and rendered, so that label and factors are exact;
the folders of photographs in ``selfies.photographs`` with their labels, and their factors from a CSV file; and where
they are there already, the training images, which photographs must not be among (``measure`` compares them with every
run's images, without the folders). Writes data/selfies/ (``benchmarks.evaluation.selfie_sets``): tar
shards, index.jsonl, and rejected.jsonl with the files of a folder of photographs that were not taken and the reasons.

Ids and groups start with ``selfie-``, so that no selfie can be mistaken for a training image.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import track

from benchmarks.evaluation.selfie_sets import CARD, SelfieSetCard, set_folder
from benchmarks.evaluation.training_overlap import TrainingImages, refuse_overlaps
from benchmarks.selfies.factor_table import FactorTable, read_factor_table
from pipeline.config.params import DatasetParams
from pipeline.config.policy import Policy
from pipeline.config.selfie_params import RENDERED, PhotographSetParams, SelfiesParams
from pipeline.data.decoding.decode import decode
from pipeline.data.photo_folder import REJECTED, Photographs, read_photographs, write_rejections
from pipeline.data.preprocess import Pixels, encode_png
from pipeline.data.records import Image, Prompt
from pipeline.data.shards import INDEX, Encoded, write_images
from pipeline.data.storage import atomic_folder, check_replaceable, write_json
from pipeline.errors import DataError, PolicyError
from pipeline.machine.process_pool import open_pool
from pipeline.prompts.prompt_sampler import draw_prompts
from pipeline.renderer import render

PREFIX = "selfie-"
Render = Callable[[Mapping[str, str], int, tuple[int, int]], Pixels]
"""(factors, seed, (width, height)) -> uint8 (height, width, 3) RGB."""
_CHUNK = 16
"""Scenes that a worker process renders per task."""
_OWN = (f"*{INDEX}", *(f"{place}{name}" for name in (REJECTED, "shard-*.tar") for place in ("", "*/")), f"*/{CARD}")
"""Patterns of the files in a folder of test sets."""


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


@dataclass(frozen=True, slots=True)
class PhotographSet:
    """A test set of photographs.

    Attributes:
        params: Its entry in ``selfies.photographs``.
        place: That entry in words, for messages.
        photographs: What its folder holds.
        factors: Factors of the photographs; None where none are known.
    """

    params: PhotographSetParams
    place: str
    photographs: Photographs
    factors: FactorTable | None = None


@dataclass(frozen=True, slots=True)
class SelfieSources:
    """What the test sets are made of; ``training`` is None where there are no training images to compare with."""

    scenes: RenderedScenes | None
    photographs: Sequence[PhotographSet] = ()
    training: TrainingImages | None = None


SelfiesResult = Mapping[str, tuple[Image, ...]]
"""Name of each test set -> its images, in order."""


def draw_scenes(params: SelfiesParams, policy: Policy) -> RenderedScenes | None:
    """Draw the scenes of ``params.count`` selfies from ``params.seed``; None for 0."""
    if not params.count:
        return None
    size = (params.width, params.height)
    return RenderedScenes(draw_prompts(policy, params.count, 1, params.seed), size, render_scene)


def read_photograph_sets(params: SelfiesParams, dataset: DatasetParams, labels: Sequence[str]) -> list[PhotographSet]:
    """Read the folders of photographs.

    Args:
        params: Names them.
        dataset: Its seed assigns scenes to parts, for training and testing alike.
        labels: The policy's labels.

    Raises:
        DataError: A folder is missing, has other labels than the policy or none of one, or a CSV file does not fit;
            names the entry of params.yaml.
    """
    sets = []
    for number, entry in enumerate(params.photographs):
        place = f"params.yaml selfies.photographs.{number} ({entry.name})"
        try:
            photographs = read_photographs(entry.folder, labels, entry.part, dataset.seed)
            factors = read_factor_table(entry.factors, entry.folder, labels) if entry.factors else None
        except DataError as error:
            raise DataError(f"{place}: {error}") from error
        sets.append(PhotographSet(entry, place, photographs, factors))
    return sets


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
            "cannot draw), or test on photographs alone: selfies.count: 0, selfies.photographs, measure.headline"
        ) from error


def run(params: SelfiesParams, sources: SelfieSources, out: Path) -> SelfiesResult:
    """Write the test sets, in place of those of an earlier run; they appear whole or not at all.

    Args:
        params: ``count``, ``images_per_shard`` and the names; ``sources`` come from the others.
        sources: Scenes to render, and photographs.
        out: Folder to write, usually data/selfies.

    Raises:
        DataError: A photograph is also a training image, or there are fewer scenes than ``count``.
        UsageError: ``out`` holds anything but test sets.
    """
    check_replaceable(out, _OWN)
    for photographs in sources.photographs:
        _check_not_in_training(photographs, sources.training)
    images: dict[str, tuple[Image, ...]] = {}
    with atomic_folder(out, own=_OWN) as work:
        if sources.scenes is not None:
            images[RENDERED] = tuple(_write_rendered(params, sources.scenes, work))
        for photographs in sources.photographs:
            place = set_folder(out, photographs.params.name)
            written = _write_photographs(photographs, work, params.images_per_shard, place)
            images[photographs.params.name] = tuple(written)
    return images


def _check_not_in_training(source: PhotographSet, training: TrainingImages | None) -> None:
    files, folder = source.photographs.images, source.params.folder
    names = [file.path.relative_to(folder).as_posix() for file in files.files]
    pictures = (decode(image.data, name) for name, image in zip(names, files, strict=True))
    refuse_overlaps(source.place, names, pictures, training)


def _write_rendered(params: SelfiesParams, scenes: RenderedScenes, out: Path) -> list[Image]:
    if len(scenes.prompts) < params.count:
        raise DataError(
            f"params.yaml selfies.count: {params.count}, but the policy gave {len(scenes.prompts)} scenes; "
            "lower the count, or add values to the policy's factors"
        )
    images = write_images(out, _rendered(scenes, params.count), params.images_per_shard)
    write_rejections(out / REJECTED, (), len(images))
    return images


def _write_photographs(source: PhotographSet, work: Path, images_per_shard: int, place: Path) -> list[Image]:
    """Write one set into a folder in ``work``, which will be ``place``."""
    params, photographs = source.params, source.photographs
    card = SelfieSetCard(
        name=params.name,
        source="photos",
        licence=params.licence,
        note=params.note,
    )
    folder = set_folder(work, params.name)
    images = write_images(folder, _photographs(source), images_per_shard)
    write_rejections(folder / REJECTED, photographs.rejections, len(images), place / REJECTED)
    write_json(folder / CARD, card)
    return images


def _photographs(source: PhotographSet) -> Iterator[Encoded]:
    """Photographs with their factors; ids and groups name the set, so that those of two sets differ."""
    files = source.photographs.images
    for file, image in zip(files.files, files, strict=True):
        name = file.path.relative_to(source.params.folder).as_posix()
        factors = source.factors.of_file(name) if source.factors else {}
        yield _with_prefix(replace(image, factors=factors), f"{PREFIX}{source.params.name}-")


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


def _with_prefix(image: Encoded, prefix: str = PREFIX) -> Encoded:
    return replace(image, id=f"{prefix}{image.id}", group=f"{prefix}{image.group}")

"""Stage: prompts (or photographs) -> images in tar shards.

Reads data/prompts.jsonl; writes data/images/ (shards, index.jsonl and a dataset card) and metrics/generate.json.

DVC deletes a stage's outputs before it runs it, so pictures are made in a work area beside them
(data/images.work/KEY/), shard by shard, and moved into place at the end: a run that was stopped, however rudely, goes
on with the first shard that is not whole. KEY is a hash of all the pictures depend on (prompts, the generator's
settings and model files, Gossamer's own code), so nothing stale is ever picked up.
"""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline.config.fields import load_section
from pipeline.config.params import DatasetParams, GenerateParams
from pipeline.data.machine_figures import Figures
from pipeline.data.photo_folder import read_photographs
from pipeline.data.preprocess import encode_png
from pipeline.data.records import Fault, Image, Prompt, Rejection
from pipeline.data.shards import Encoded, shard_name, write_card, write_images, write_index, write_shard
from pipeline.data.storage import read_rows, write_rows
from pipeline.errors import DataError
from pipeline.generate.dataset_card import dataset_card
from pipeline.generate.generators import Description, Draw, Picture, find_generator
from pipeline.machine.process_pool import run_jobs

BLACK = 8  # a picture with no brighter pixel than this, of 255, is a blank: a failed decode, or nothing drawn at all
PHOTOGRAPHS = Description("photographs of a folder of the user's own", None, None, "unknown", "unknown", {})


@dataclass(frozen=True, slots=True)
class GenerateResult:
    """Records of the images and their figures.

    Attributes:
        images: One per image, in the order of the prompts.
        rejected: Photographs that could not be read; empty for generated images.
        metrics: Contents of metrics/generate.json.
        machine: Section ``generate`` of metrics/machine.json.
    """

    images: list[Image]
    rejected: list[Rejection]
    metrics: dict[str, Any]
    machine: Figures


@dataclass(frozen=True, slots=True)
class ShardJob:
    """One shard to draw; picklable, so that any process can."""

    name: str
    prompts: tuple[Prompt, ...]
    generator: str
    options: str
    folder: Path


def run(params: GenerateParams, prompts: Sequence[Prompt], out: Path, policy: str) -> GenerateResult:
    """Draw every prompt that the work area does not hold yet, then move all into ``out``; ``policy`` names the set.

    Raises:
        ParamsError: An unknown generator, a wrong value in its section, or a licence that nobody acknowledged.
        ModelError: Its model cannot be loaded.
        DataError: There are no prompts.
    """
    if not prompts:
        raise DataError("data/prompts.jsonl: no prompts; expected at least one; see params.yaml prompts.count")
    module = find_generator(params.generator)
    options = load_section(module.Params, params.section(params.generator), f"generate.{params.generator}")
    source = module.describe(options)
    key = _work_key(params, prompts, source)
    work = out.with_name(f"{out.name}.work") / key
    work.mkdir(parents=True, exist_ok=True)
    jobs = [
        ShardJob(shard_name(n), tuple(part), params.generator, options.model_dump_json(), work)
        for n, part in enumerate(_chunks(prompts, params.images_per_shard))
    ]
    todo = [job for job in jobs if not _is_whole(job)]
    start = time.perf_counter()
    _draw_all(todo, module.processes(options, params.workers), len(prompts))
    seconds = time.perf_counter() - start
    images = [image for job in jobs for image in read_rows(_rows_path(job), Image)]
    _move_into_place(jobs, out, images)
    write_card(out, dataset_card(policy, source, images))
    drawn = sum(len(job.prompts) for job in todo)
    machine = {
        "resumed_images": len(images) - drawn,
        "seconds": round(seconds, 2),
        "images_per_second": round(drawn / seconds, 2) if drawn else None,
    }
    return GenerateResult(images, [], {"generator": params.generator, **_facts(source, images)}, machine)


def run_photos(params: DatasetParams, labels: Sequence[str], images_per_shard: int, out: Path) -> GenerateResult:
    """Pack photographs, FOLDER/LABEL/*.jpg, instead of drawing.

    Raises:
        ParamsError: No folder is named.
        DataError: The folder lacks a label, or holds no readable photograph of one.
    """
    if params.folder is None:
        raise DataError("params.yaml dataset.folder: null with source photos; expected a folder with LABEL/*.jpg")
    start = time.perf_counter()
    found = read_photographs(params.folder, labels, params.part, params.seed)
    images = write_images(out, found.images, images_per_shard)
    seconds = time.perf_counter() - start
    write_card(out, dataset_card("photographs", PHOTOGRAPHS, images))
    metrics = {
        "generator": "photos",
        "images": len(images),
        "unreadable_images": len(found.rejections),
        "size_bytes": sum(image.size_bytes for image in images),
        "labels": dict(sorted(Counter(image.label for image in images).items())),
    }
    return GenerateResult(images, list(found.rejections), metrics, {"seconds": round(seconds, 2)})


def to_pixels(picture: Picture) -> tuple[NDArray[np.uint8], Fault | None]:
    """Turn a generator's picture into uint8 (height, width, 3) and name what is wrong with it, if anything."""
    drawn = picture.pixels
    if drawn.dtype == np.uint8:
        pixels = np.asarray(drawn, np.uint8)
    elif not np.isfinite(drawn).all():
        return np.zeros(drawn.shape, np.uint8), "nan"
    else:
        pixels = np.asarray(np.rint(np.clip(drawn, 0, 1) * 255), np.uint8)
    return pixels, picture.fault or ("black" if pixels.max() <= BLACK else None)


def draw_shard(job: ShardJob) -> int:
    """Draw one shard into the work area, its index last; returns how many pictures it holds."""
    draw = _open(job.generator, job.options)
    images = write_shard(job.folder, job.name, _encoded(draw, job.prompts))
    write_rows(_rows_path(job), images)
    return len(images)


@functools.lru_cache(maxsize=1)
def _open(name: str, options: str) -> Draw:
    """Open a generator once a process."""
    module = find_generator(name)
    opened: Draw = module.create(module.Params.model_validate_json(options))
    return opened


def _encoded(draw: Draw, prompts: Sequence[Prompt]) -> list[Encoded]:
    result = []
    for prompt, picture in zip(prompts, draw(prompts), strict=True):
        pixels, fault = to_pixels(picture)
        height, width = pixels.shape[:2]
        data = encode_png(pixels)
        result.append(Encoded(prompt.id, prompt.group, prompt.label, prompt.factors, data, width, height, fault))
    return result


def _draw_all(jobs: Sequence[ShardJob], workers: int, total: int) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    drawn, start = 0, time.perf_counter()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        done = total - sum(len(job.prompts) for job in jobs)
        task = progress.add_task("images", total=total, completed=done, rate="")
        for count in run_jobs(draw_shard, jobs, workers):
            drawn += count
            rate = drawn / (time.perf_counter() - start)
            progress.update(task, advance=count, rate=f"{rate:.1f}/s")


def _chunks(prompts: Sequence[Prompt], size: int) -> list[Sequence[Prompt]]:
    return [prompts[i : i + size] for i in range(0, len(prompts), size)]


def _rows_path(job: ShardJob) -> Path:
    return (job.folder / job.name).with_suffix(".jsonl")


def _is_whole(job: ShardJob) -> bool:
    """A shard's rows are written after it, both atomically: rows there, shard whole."""
    return _rows_path(job).is_file() and (job.folder / job.name).is_file()


def _move_into_place(jobs: Sequence[ShardJob], out: Path, images: list[Image]) -> None:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for job in jobs:
        (job.folder / job.name).replace(out / job.name)
    write_index(out, images)
    shutil.rmtree(jobs[0].folder.parent)


def _work_key(params: GenerateParams, prompts: Sequence[Prompt], source: Description) -> str:
    """Hash all that pictures depend on: not how many processes draw them, nor other generators' sections."""
    facts = [params.generator, params.images_per_shard, asdict(source)]
    digest = hashlib.sha256(f"{json.dumps(facts, sort_keys=True)}\n".encode())
    for prompt in prompts:
        digest.update(prompt.model_dump_json().encode())
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _facts(source: Description, images: Sequence[Image]) -> dict[str, Any]:
    faults = Counter(image.fault for image in images)
    return {
        "model": source.model,
        "model_revision": source.revision,
        "model_licence": None if source.model is None else source.licence,
        "images": len(images),
        "nsfw_images": faults["nsfw"],
        "black_images": faults["black"],
        "nan_images": faults["nan"],
        "size_bytes": sum(image.size_bytes for image in images),
    }

"""Stage: prompts (or photographs) -> images in tar shards.

Reads data/prompts.jsonl; writes data/images/ (shards, index.jsonl, a dataset card and, of photographs, rejected.jsonl:
the files of the folder that were not taken, with the reason), metrics/generate.json and the section ``generate`` of
metrics/machine.json.

DVC deletes a stage's outputs before it runs it. So shards are drawn in a work area beside them (data/images.work/,
``pipeline.data.work_cache``) and put in place together at the end, as hard links: a run that was killed, also after
that, resumes with the first shard that is missing or damaged. The work area's key covers prompts, the generator's
settings and model files, and the code that draws; a later command removes the area (``pipeline.data.finished_work``).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline.config.fields import Section, load_section
from pipeline.config.params import DatasetParams, GenerateParams
from pipeline.data.finished_work import mark_finished, work_area
from pipeline.data.hashing import hash_share, sha256_of
from pipeline.data.machine_figures import Figures
from pipeline.data.photo_folder import REJECTED, read_photographs, write_rejections
from pipeline.data.records import Image, Prompt, Rejection
from pipeline.data.shards import FILES, INDEX, write_card, write_images, write_index
from pipeline.data.storage import atomic_folder, check_replaceable
from pipeline.data.work_cache import WorkCache, link, open_work, work_key
from pipeline.errors import DataError, report_kept
from pipeline.generate import shard_job
from pipeline.generate.dataset_card import dataset_card
from pipeline.generate.generators import Description, find_generator
from pipeline.generate.shard_job import ShardJob, Source, draw_shard, plan_jobs
from pipeline.machine.process_pool import run_jobs

PHOTOGRAPHS = Description("photographs of a folder of the user's own", None, None, "unknown", "unknown", {})
_MIX_SEED = 1
"""Seed of the hash that divides scenes among generators."""
PACKAGES = ("diffusers", "numpy", "pillow", "torch", "transformers")
"""Their versions are part of the work area's key."""


@dataclass(frozen=True, slots=True)
class GenerateResult:
    """Records of the images and their figures.

    Attributes:
        images: One per image, in the order of the prompts.
        rejected: Files of the folder that were not taken, with the reason; empty for generated images.
        metrics: Contents of metrics/generate.json.
        machine: Section ``generate`` of metrics/machine.json.
    """

    images: list[Image]
    rejected: list[Rejection]
    metrics: dict[str, Any]
    machine: Figures


def run(params: GenerateParams, prompts: Sequence[Prompt], out: Path, policy: str) -> GenerateResult:
    """Draw every prompt that the work area does not hold yet, then put the whole set in place.

    Args:
        params: The generate section; the generator validates its own part.
        prompts: What to draw, in order.
        out: Folder to write, e.g. data/images; the work area is OUT.work/ beside it.
        policy: Name of the policy, for the dataset card.

    Raises:
        ParamsError: An unknown generator, a wrong value in its section, or a licence that was not acknowledged.
        ModelError: Its model cannot be loaded.
        DataError: There are no prompts.
    """
    if not prompts:
        raise DataError("data/prompts.jsonl: no prompts; expected at least one; see params.yaml prompts.count")
    check_replaceable(out, FILES)
    opened = [_open(params, name) for name in params.generators]
    cache = open_work(work_area(out), _work_key(params, prompts, opened))
    shares = divide(prompts, params)
    sources = [Source(part.name, part.options.model_dump_json(), shares[part.name]) for part in opened]
    jobs = plan_jobs(sources, params.images_per_shard, cache)
    todo = [job for job in jobs if not job.is_done]
    start = time.perf_counter()
    with report_kept(lambda: _kept(jobs, len(prompts), cache)):
        for part in opened:
            own = [job for job in todo if job.generator == part.name]
            _draw_all(part.name, own, part.module.processes(part.options, params.workers), len(shares[part.name]))
    seconds = time.perf_counter() - start
    images = [image for job in jobs for image in job.read_images()]
    origins = [part.description for part in opened if shares[part.name]]
    _put_in_place(jobs, images, dataset_card(policy, origins, images), cache, out)
    drawn = sum(len(job.prompts) for job in todo)
    machine = {
        "resumed_images": len(images) - drawn,
        "seconds": round(seconds, 2),
        "images_per_second": round(drawn / seconds, 2) if drawn else None,
    }
    return GenerateResult(images, [], _metrics(params, opened[0].description, images, out), machine)


def divide(prompts: Sequence[Prompt], params: GenerateParams) -> dict[str, list[Prompt]]:
    """Divide prompts among generators; the images of a scene come from one generator.

    A hash of the scene chooses, so a larger share keeps the scenes of a smaller one.

    Returns:
        Name of the generator -> its prompts, in order.
    """
    shares: dict[str, list[Prompt]] = {name: [] for name in params.generators}
    for prompt in prompts:
        point = hash_share(_MIX_SEED, prompt.group)
        chosen = params.generator
        for name, share in params.mix.items():
            if 0 <= point < share:
                chosen = name
            point -= share
        shares[chosen].append(prompt)
    return shares


def run_photos(params: DatasetParams, labels: Sequence[str], images_per_shard: int, out: Path) -> GenerateResult:
    """Pack photographs, FOLDER/LABEL/*.jpg, instead of drawing; OUT/rejected.jsonl names the files that are not taken.

    Raises:
        DataError: No folder is named, it lacks a label, or it holds no readable photograph of one.
        UsageError: ``out`` holds anything but images that Gossamer packed.
    """
    if params.folder is None:
        raise DataError("params.yaml dataset.folder: null with source photos; expected a folder with LABEL/*.jpg")
    start = time.perf_counter()
    check_replaceable(out, FILES)
    photographs = read_photographs(params.folder, labels, params.part, params.seed)
    with atomic_folder(out, own=FILES) as folder:
        images = write_images(folder, photographs.images, images_per_shard)
        write_card(folder, dataset_card("photographs", [PHOTOGRAPHS], images))
        write_rejections(folder / REJECTED, photographs.rejections, len(images), out / REJECTED)
    seconds = time.perf_counter() - start
    metrics = {
        "generator": "photos",
        "files": photographs.readable + len(photographs.rejections),
        "images": len(images),
        "rejected": len(photographs.rejections),
        "reasons": dict(Counter(row.reason for row in photographs.rejections).most_common()),
        "size_bytes": sum(image.size_bytes for image in images),
        "labels": dict(sorted(Counter(image.label for image in images).items())),
        "index_sha256": sha256_of(out / INDEX),
    }
    return GenerateResult(images, list(photographs.rejections), metrics, {"seconds": round(seconds, 2)})


@dataclass(frozen=True, slots=True)
class _Generator:
    """A generator with its section of params.yaml."""

    name: str
    module: ModuleType
    options: Section
    description: Description


def _open(params: GenerateParams, name: str) -> _Generator:
    module = find_generator(name)
    options = load_section(module.Params, params.section(name), f"generate.{name}")
    return _Generator(name, module, options, module.describe(options))


def _draw_all(generator: str, jobs: Sequence[ShardJob], workers: int, total: int) -> None:
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
        task = progress.add_task(f"images, {generator}", total=total, completed=done, rate="")
        for count in run_jobs(draw_shard, jobs, workers):
            drawn += count
            rate = drawn / (time.perf_counter() - start)
            progress.update(task, advance=count, rate=f"{rate:.1f}/s")


def _kept(jobs: Sequence[ShardJob], total: int, cache: WorkCache) -> str:
    drawn = sum(len(job.prompts) for job in jobs if job.shard.exists())
    return f"{drawn:,} of {total:,} images are kept in {cache.folder.parent}"


def _put_in_place(jobs: Sequence[ShardJob], images: Sequence[Image], card: str, cache: WorkCache, out: Path) -> None:
    """Assemble the folder within the work area and move it to ``out``; a kill at any point loses no shard."""
    with atomic_folder(out, cache.folder, own=FILES) as folder:
        for job in jobs:
            link(job.shard, folder / job.name)
        write_index(folder, images)
        write_card(folder, card)
    mark_finished(cache, out)


def _work_key(params: GenerateParams, prompts: Sequence[Prompt], generators: Sequence[_Generator]) -> str:
    """Hash all that images depend on; the number of processes and other generators' sections are not among it."""
    inputs = {
        "generators": [part.name for part in generators],
        "mix": params.mix,
        "images_per_shard": params.images_per_shard,
        "models": [[part.description.model, part.description.revision] for part in generators],
        "settings": [part.description.settings for part in generators],
        "prompts": prompts,
    }
    return work_key(inputs, (shard_job.__name__, *(part.module.__name__ for part in generators)), PACKAGES)


def _metrics(params: GenerateParams, source: Description, images: Sequence[Image], out: Path) -> dict[str, Any]:
    faults = Counter(image.fault for image in images)
    return {
        "generator": params.generator,
        "generators": dict(sorted(Counter(image.generator for image in images).items())),
        "model": source.model,
        "model_revision": source.revision,
        "model_licence": None if source.model is None else source.licence,
        "images": len(images),
        "nsfw_images": faults["nsfw"],
        "black_images": faults["black"],
        "nan_images": faults["nan"],
        "size_bytes": sum(image.size_bytes for image in images),
        "index_sha256": sha256_of(out / INDEX),
    }

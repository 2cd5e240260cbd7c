"""Draws one shard: prompts -> images -> PNG in a tar file, with their records, as one entry of the work area.

All that the bytes of an image depend on lies in this module, in what it imports and in the generator; the work area's
key hashes that code. Runs in worker processes: jobs are picklable.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.data.preprocess import encode_png
from pipeline.data.records import Fault, Image, Prompt
from pipeline.data.shards import Encoded, shard_name, write_shard
from pipeline.data.storage import read_rows, write_rows
from pipeline.data.work_cache import WorkCache
from pipeline.generate.generated_image import GeneratedImage
from pipeline.generate.generators import Draw, find_generator

BLACK = 8
"""An image with no value above this, of 255, is black: decoding failed, or nothing was drawn."""
_ROWS = "rows.jsonl"


@dataclass(frozen=True, slots=True)
class ShardJob:
    """One shard to draw.

    Attributes:
        name: File name of the shard.
        prompts: What to draw, in order.
        generator: Name of the generator.
        options: Its section of params.yaml, as JSON.
        cache: The work area; the entry is a folder named as the shard, with the tar file and its rows.
    """

    name: str
    prompts: tuple[Prompt, ...]
    generator: str
    options: str
    cache: WorkCache

    @property
    def is_done(self) -> bool:
        """Whether the work area holds the shard as it was written, with the images of these prompts."""
        if not self.cache.has(self.name):
            return False
        own = (self.name, self.generator)
        named = [(prompt.id, prompt.group, prompt.label, prompt.factors, *own) for prompt in self.prompts]
        if named == [
            (image.id, image.group, image.label, image.factors, image.shard, image.generator)
            for image in self.read_images()
        ]:
            return True
        self.cache.reject(self.name, "other images than those of its prompts")
        return False

    @property
    def shard(self) -> Path:
        """The tar file, once the job is done."""
        return self.cache.path(self.name) / self.name

    def read_images(self) -> list[Image]:
        """Read the records of the shard, once the job is done."""
        return read_rows(self.cache.path(self.name) / _ROWS, Image)


@dataclass(frozen=True, slots=True)
class Source:
    """A generator, ready to be opened in any process, and the prompts it draws.

    Attributes:
        generator: Name of the generator.
        options: Its section of params.yaml, as JSON.
        prompts: What to draw, in order.
    """

    generator: str
    options: str
    prompts: Sequence[Prompt]


def plan_jobs(sources: Sequence[Source], images_per_shard: int, cache: WorkCache) -> list[ShardJob]:
    """Cut the prompts of each source into shards, in order; the last of a source may be smaller."""
    parts = [
        (source, tuple(source.prompts[low : low + images_per_shard]))
        for source in sources
        for low in range(0, len(source.prompts), images_per_shard)
    ]
    return [
        ShardJob(shard_name(number), part, source.generator, source.options, cache)
        for number, (source, part) in enumerate(parts)
    ]


def draw_shard(job: ShardJob) -> int:
    """Draw one shard into the work area; returns the number of images."""
    draw = _open(job.generator, job.options)
    with job.cache.write_folder(job.name) as folder:
        images = write_shard(folder, job.name, _encode(draw, job))
        write_rows(folder / _ROWS, images)
    return len(images)


def to_pixels(image: GeneratedImage) -> tuple[NDArray[np.uint8], Fault | None]:
    """Convert a generator's image to uint8 (height, width, 3) RGB in 0..255, and name its fault, if it has one.

    An image with values that are not finite becomes all zeros, with the fault "nan".
    """
    drawn = image.pixels
    if drawn.dtype == np.uint8:
        pixels = np.asarray(drawn, np.uint8)
    elif not np.isfinite(drawn).all():
        return np.zeros(drawn.shape, np.uint8), "nan"
    else:
        pixels = np.asarray(np.rint(np.clip(drawn, 0, 1) * 255), np.uint8)
    return pixels, image.fault or ("black" if pixels.max() <= BLACK else None)


@functools.lru_cache(maxsize=1)
def _open(name: str, options: str) -> Draw:
    """Open a generator once per process."""
    module = find_generator(name)
    opened: Draw = module.create(module.Params.model_validate_json(options))
    return opened


def _encode(draw: Draw, job: ShardJob) -> Iterator[Encoded]:
    for prompt, image in zip(job.prompts, draw(job.prompts), strict=True):
        pixels, fault = to_pixels(image)
        height, width = pixels.shape[:2]
        data = encode_png(pixels)
        yield Encoded(prompt.id, prompt.group, prompt.label, prompt.factors, data, width, height, fault, job.generator)

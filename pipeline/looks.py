"""One look at every picture: all that curation measures, kept on disk by content.

    WORK/KEY.npy    a row each of at most ``BLOCK`` pictures of one shard; KEY hashes what the rows depend on

A picture is decoded once; a changed threshold looks at nothing anew, and pictures drawn anew are the only ones seen
anew. In memory lie a few hundred bytes a picture: thumbnails stay on disk until they are asked for.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from pipeline.engines.local import run_jobs
from pipeline.errors import DataError
from pipeline.filters import fingerprint, measure_quality
from pipeline.policy import Policy
from pipeline.preprocess import Pixels, PreprocessSpec, decode, fit
from pipeline.records import Image, atomic_write
from pipeline.shards import read_bytes
from pipeline.verifiers import Seen, Verify, find_verifier

VERSION = 1
"""Raised when what is measured changes: every picture is looked at again."""
BLOCK = 500
BLOCKS_PER_JOB = 4
"""A job opens the verifier once."""
THUMBNAIL = (64, 48)
"""(height, width) in pixels of the thumbnails."""
_SPEC = PreprocessSpec(input_size=THUMBNAIL, fit="pad")
_MESSAGE = 200
_BATCH = 50


@dataclass(frozen=True, slots=True)
class Witness:
    """A verifier, not yet opened: its file name, its params and the policy; picklable."""

    name: str
    params: Any
    policy: Policy

    def open(self) -> Verify:
        """Open it.

        Raises:
            ModelError: Its model is not whole, or not to be had.
            ParamsError: It does not know what tells the policy's labels apart.
        """
        verify: Verify = find_verifier(self.name).create(self.params, self.policy)
        return verify

    def identify(self) -> str:
        """What its answers depend on beside the picture."""
        return str(find_verifier(self.name).identify(self.params, self.policy))


@dataclass(frozen=True)
class Looks:
    """What was seen in n pictures, in their order.

    Attributes:
        blocks: Files of rows, and how many each has.
        witnessed: Whether a verifier looked; if not, there are no probabilities and features.
    """

    blocks: tuple[tuple[Path, int], ...]
    witnessed: bool

    def column(self, name: str) -> NDArray[Any]:
        """One column of every row: measures, print, probabilities, features or error."""
        return np.concatenate([np.array(np.load(path, mmap_mode="r")[name]) for path, _ in self.blocks])

    def thumbnails(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Read thumbnails, uint8 (rows, 64, 48, 3)."""
        found = np.empty((len(rows), *THUMBNAIL, 3), np.uint8)
        block = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(block):
            chosen = np.flatnonzero(block == number)
            path, _ = self.blocks[number]
            with path.open("rb") as file:  # not mapped: mapped pages count as this process's memory
                start, dtype = _header(file)
                for place in chosen:
                    file.seek(start + int(rows[place] - self._starts[number]) * dtype.itemsize)
                    row = np.frombuffer(file.read(dtype.itemsize), dtype)
                    found[place] = row["thumbnail"][0]
        return found

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.cumsum([0, *(count for _, count in self.blocks)])[:-1]


@dataclass(frozen=True, slots=True)
class Store:
    """The folder that rows are kept in, and how many processes may look at once."""

    folder: Path
    workers: int


@dataclass(frozen=True, slots=True)
class _Job:
    """Blocks that nobody has looked at, each with the file it goes to."""

    folder: Path
    blocks: tuple[tuple[Path, tuple[Image, ...]], ...]
    witness: Witness | None


def look(
    folder: Path, images: Sequence[Image], witness: Witness | None, store: Store, advance: Callable[[int], None]
) -> Looks:
    """Look at every picture that has not been looked at; forget those that are gone.

    Args:
        folder: Where the shards lie.
        images: Records of the pictures, in order.
        witness: The verifier, or None.
        store: Where rows are kept.
        advance: Called with the number of pictures done.

    Raises:
        DataError: A shard is missing, or its bytes are not those the index names.
        ModelError: The verifier's model is not whole, or not to be had.
        ParamsError: The verifier does not know the policy.
    """
    identity = f"{VERSION} {witness.identify() if witness else None}"
    blocks = [(store.folder / f"{_key(identity, block)}.npy", block) for block in _blocks(images)]
    store.folder.mkdir(parents=True, exist_ok=True)
    for stale in set(store.folder.glob("*.npy")) - {path for path, _ in blocks}:
        stale.unlink()
    missing = [(path, block) for path, block in blocks if not path.is_file()]
    advance(len(images) - sum(len(block) for _, block in missing))
    jobs = [
        _Job(folder, tuple(missing[first : first + BLOCKS_PER_JOB]), witness)
        for first in range(0, len(missing), BLOCKS_PER_JOB)
    ]
    for count in run_jobs(_look_at_blocks, jobs, store.workers):
        advance(count)
    return Looks(tuple((path, len(block)) for path, block in blocks), witness is not None)


def _blocks(images: Sequence[Image]) -> list[tuple[Image, ...]]:
    blocks = []
    for _, each in itertools.groupby(images, key=lambda image: image.shard):
        mine = tuple(each)
        blocks += [mine[first : first + BLOCK] for first in range(0, len(mine), BLOCK)]
    return blocks


def _key(identity: str, block: Sequence[Image]) -> str:
    told = json.dumps([identity, [(image.sha256, image.fault) for image in block]])
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def _look_at_blocks(job: _Job) -> int:
    """Look, and write each block; returns the number of pictures."""
    verify = job.witness.open() if job.witness else None
    for path, images in job.blocks:
        batches = [images[first : first + _BATCH] for first in range(0, len(images), _BATCH)]
        rows = np.concatenate([_look_at_batch(job.folder, batch, verify) for batch in batches])
        with atomic_write(path) as file:
            np.save(file, rows)
    return sum(len(images) for _, images in job.blocks)


def _look_at_batch(folder: Path, images: Sequence[Image], verify: Verify | None) -> NDArray[Any]:
    pictures: dict[int, Pixels] = {}
    errors: dict[int, str] = {}
    for row, image in enumerate(images):
        data = read_bytes(folder, image)
        if image.fault is None:
            try:
                pictures[row] = decode(data)
            except DataError as error:
                errors[row] = str(error)
    blank = np.zeros((*THUMBNAIL, 3), np.uint8)
    seen = (
        verify(list(pictures.values()) or [blank]) if verify else Seen(np.empty((1, 0)), np.empty((1, 0), np.float32))
    )
    names = tuple(measure_quality(blank))
    rows = np.zeros(len(images), _dtype(len(names), seen))
    for place, (row, pixels) in enumerate(pictures.items()):
        measures = measure_quality(pixels)
        rows[row]["measures"] = [measures[name] for name in names]
        rows[row]["print"] = fingerprint(pixels)
        rows[row]["thumbnail"] = fit(pixels, _SPEC)
        if verify:
            rows[row]["probabilities"] = seen.probabilities[place]
            rows[row]["features"] = seen.features[place]
    for row, message in errors.items():
        rows[row]["error"] = message.encode()[:_MESSAGE]
    return rows


def _dtype(measures: int, seen: Seen) -> np.dtype[Any]:
    return np.dtype(
        [
            ("measures", np.float64, (measures,)),
            ("print", np.uint64, (3,)),
            ("thumbnail", np.uint8, (*THUMBNAIL, 3)),
            ("probabilities", np.float64, (seen.probabilities.shape[1],)),
            ("features", np.float16, (seen.features.shape[1],)),
            ("error", f"S{_MESSAGE}"),
        ]
    )


def _header(file: IO[bytes]) -> tuple[int, np.dtype[Any]]:
    """Where the rows of a .npy file begin, and their type."""
    npy.read_magic(file)
    _, _, dtype = npy.read_array_header_1_0(file)
    return file.tell(), dtype

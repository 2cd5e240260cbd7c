"""One look at every picture: all that curation measures, kept on disk by content.

    WORK/KEY.npy    a row each of at most ``BLOCK`` pictures of one shard; KEY hashes what the rows depend on

A picture is decoded once; a changed threshold looks at nothing anew, and pictures drawn anew are the only ones seen
anew. In memory lie a hundred bytes a picture: a verifier's features stay on disk until they are asked for.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.fields import load_section
from pipeline.config.params import CurateParams
from pipeline.config.policy import Policy
from pipeline.curate.image_quality import MEASURES, measure_quality
from pipeline.curate.verifiers import Verify, find_verifier
from pipeline.data.perceptual_hash import fingerprint
from pipeline.data.preprocess import Pixels, decode
from pipeline.data.records import Image
from pipeline.data.shards import read_bytes
from pipeline.data.storage import atomic_write
from pipeline.errors import DataError
from pipeline.machine.devices import torch_threads
from pipeline.machine.process_pool import run_jobs

VERSION = 1
"""Raised when what is measured changes: every picture is looked at again."""
BLOCK = 500
BLOCKS_PER_JOB = 4
"""A job opens the verifier once."""
_MESSAGE = 200
_BATCH = 50
_BLANK = np.zeros((64, 48, 3), np.uint8)
"""Looked at where no picture of a batch can be decoded, for the shape of what is seen."""


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
        """
        verify: Verify = find_verifier(self.name).create(self.params, self.policy)
        return verify

    def identify(self) -> str:
        """What its answers depend on beside the picture."""
        return str(find_verifier(self.name).identify(self.params, self.policy))


def find_witness(params: CurateParams, policy: Policy) -> Witness:
    """Find the verifier that params name.

    Raises:
        ParamsError: There is none of that name, or its section is wrong.
    """
    section = params.section(params.verifier)
    checked = load_section(find_verifier(params.verifier).Params, section, f"curate.{params.verifier}")
    return Witness(params.verifier, checked, policy)


@dataclass(frozen=True)
class Looks:
    """What was seen in n pictures, in their order.

    Attributes:
        blocks: Files of rows, and how many each has.
    """

    blocks: tuple[tuple[Path, int], ...]

    def column(self, name: str) -> NDArray[Any]:
        """One column of every row: measures, print, probabilities or error."""
        return np.concatenate([np.load(path)[name] for path, _ in self.blocks])

    def features(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read what the verifier saw in some pictures: float32 (rows, width)."""
        blocks = np.searchsorted(self._starts, rows, side="right") - 1
        parts = np.empty((len(rows), 0), np.float32)
        for number in np.unique(blocks):
            chosen = np.flatnonzero(blocks == number)
            found = np.load(self.blocks[number][0])["features"][rows[chosen] - self._starts[number]]
            if not parts.shape[1]:
                parts = np.empty((len(rows), found.shape[1]), np.float32)
            parts[chosen] = found
        return parts

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
    witness: Witness


def look(
    folder: Path, images: Sequence[Image], witness: Witness, store: Store, advance: Callable[[int], None]
) -> Looks:
    """Look at every picture that has not been looked at; forget those that are gone.

    Args:
        folder: Where the shards lie.
        images: Records of the pictures, in order.
        witness: The verifier.
        store: Where rows are kept.
        advance: Called with the number of pictures done.

    Raises:
        ModelError: The verifier's model is not whole, or not to be had.
    """
    identity = f"{VERSION} {witness.identify()}"
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
    return Looks(tuple((path, len(block)) for path, block in blocks))


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
    with torch_threads(1):  # what is seen does not hang on how many there are
        verify = job.witness.open()
        for path, images in job.blocks:
            batches = [images[first : first + _BATCH] for first in range(0, len(images), _BATCH)]
            rows = np.concatenate([_look_at_batch(job.folder, batch, verify) for batch in batches])
            with atomic_write(path) as file:
                np.save(file, rows)
    return sum(len(images) for _, images in job.blocks)


def _look_at_batch(folder: Path, images: Sequence[Image], verify: Verify) -> NDArray[Any]:
    pictures: dict[int, Pixels] = {}
    errors: dict[int, str] = {}
    for row, image in enumerate(images):
        if image.fault is None:
            try:
                pictures[row] = decode(read_bytes(folder, image))
            except DataError as error:
                errors[row] = str(error)
    seen = verify(list(pictures.values()) or [_BLANK])
    rows = np.zeros(len(images), _dtype(seen.probabilities.shape[1], seen.features.shape[1]))
    for place, (row, pixels) in enumerate(pictures.items()):
        rows[row]["measures"] = measure_quality(pixels)
        rows[row]["print"] = fingerprint(pixels)
        rows[row]["probabilities"] = seen.probabilities[place]
        rows[row]["features"] = seen.features[place]
    for row, message in errors.items():
        rows[row]["error"] = message.encode()[:_MESSAGE]
    return rows


def _dtype(labels: int, width: int) -> np.dtype[Any]:
    return np.dtype(
        [
            ("measures", np.float64, (len(MEASURES),)),
            ("print", np.uint64, (3,)),
            ("probabilities", np.float64, (labels,)),
            ("features", np.float16, (width,)),
            ("error", f"S{_MESSAGE}"),
        ]
    )

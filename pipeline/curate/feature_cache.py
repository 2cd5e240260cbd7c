"""Quality measures, perceptual hash and verifier output of every image: computed once, cached on disk by content.

    WORK/KEY/BLOCK.npy    one row per image of a block, up to ``BLOCK`` images of one shard

A work area (``pipeline.data.work_cache``): KEY hashes verifier, policy and code, BLOCK its images' bytes. An image
is decoded once. A changed threshold recomputes nothing, and after a new ``generate`` only images with changed bytes are
recomputed. Columns are read from disk on demand: about 100 bytes per image stay in memory, and the verifier's features
(float16) are read in parts. Reads shards; writes WORK, which may be deleted at any time.
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
from pipeline.curate.verifiers import Verifier, find_verifier
from pipeline.data.decoding.decode import decode
from pipeline.data.perceptual_hash import fingerprint
from pipeline.data.preprocess import Pixels
from pipeline.data.records import Image
from pipeline.data.shards import read_bytes
from pipeline.data.work_cache import WorkCache, open_work, work_key
from pipeline.errors import DataError, report_kept
from pipeline.machine.devices import torch_threads
from pipeline.machine.process_pool import run_jobs

PACKAGES = ("cleanvision", "imagehash", "numpy", "pillow", "torch", "transformers")
"""Their versions are part of the work area's key."""
BLOCK = 500
BLOCKS_PER_JOB = 4
"""Blocks per process job; a job loads the verifier once."""
_ERROR_BYTES = 200
_BATCH = 50
_BLANK = np.zeros((64, 48, 3), np.uint8)
"""Passed to the verifier if no image of a batch can be decoded: its output gives the shape of the columns."""


@dataclass(frozen=True, slots=True)
class VerifierSpec:
    """Which verifier to load, and with what: picklable, so that worker processes can load it.

    Attributes:
        name: File name of the verifier.
        params: Its validated section of params.yaml.
        policy: Policy whose labels it predicts.
    """

    name: str
    params: Any
    policy: Policy

    def load(self) -> Verifier:
        """Load the verifier.

        Raises:
            ModelError: Its model is missing or damaged.
        """
        verify: Verifier = find_verifier(self.name).create(self.params, self.policy)
        return verify

    def work_key(self) -> str:
        """Hash all that a row depends on besides the image: the verifier, its weights, the policy, and the code."""
        verifier = find_verifier(self.name)
        identity = str(verifier.identify(self.params, self.policy))
        return work_key({"verifier": identity}, (__name__, verifier.__name__), PACKAGES)


def load_verifier_spec(params: CurateParams, policy: Policy) -> VerifierSpec:
    """Validate the section of the verifier that params name.

    Raises:
        ParamsError: There is no verifier of that name, or its section is wrong.
    """
    section = params.section(params.verifier)
    checked = load_section(find_verifier(params.verifier).Params, section, f"curate.{params.verifier}")
    return VerifierSpec(params.verifier, checked, policy)


@dataclass(frozen=True)
class FeatureCache:
    """Cached rows of n images, in their order.

    Attributes:
        blocks: Files of rows, each with its number of rows.
    """

    blocks: tuple[tuple[Path, int], ...]

    def column(self, name: str) -> NDArray[Any]:
        """Read one column of all rows.

        Args:
            name: "measures" float64 (n, measures) of ``image_quality``, "perceptual_hash" uint64 (n, 3), the verifier's
                "probabilities" float64 (n, labels) and "features" float16 (n, width), or "error", bytes (n,), empty
                where the image could be decoded.
        """
        return np.concatenate([np.load(path)[name] for path, _ in self.blocks])

    def features(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read the verifier's features of some rows: int64 (rows,) -> float32 (rows, width)."""
        blocks = np.searchsorted(self._starts, rows, side="right") - 1
        features = np.empty((len(rows), 0), np.float32)
        for number in np.unique(blocks):
            chosen = np.flatnonzero(blocks == number)
            part = np.load(self.blocks[number][0])["features"][rows[chosen] - self._starts[number]]
            if not features.shape[1]:
                features = np.empty((len(rows), part.shape[1]), np.float32)
            features[chosen] = part
        return features

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.cumsum([0, *(count for _, count in self.blocks)])[:-1]


@dataclass(frozen=True, slots=True)
class CacheOptions:
    """Where rows are cached, and how many processes compute them.

    Attributes:
        folder: Work area.
        workers: Number of processes.
    """

    folder: Path
    workers: int


@dataclass(frozen=True, slots=True)
class _Job:
    """Missing blocks, each with the name of its entry."""

    folder: Path
    blocks: tuple[tuple[str, tuple[Image, ...]], ...]
    verifier: VerifierSpec
    work: WorkCache


def compute_features(
    folder: Path, images: Sequence[Image], verifier: VerifierSpec, cache: CacheOptions, advance: Callable[[int], None]
) -> FeatureCache:
    """Compute the rows that the cache lacks, and delete those of images that are gone.

    Args:
        folder: Folder of the shards.
        images: Records of the images, in order.
        verifier: Verifier to run.
        cache: Where rows are cached, and how many processes compute them.
        advance: Called with the number of images finished since the last call.

    Raises:
        ModelError: The verifier's model is missing or damaged.
    """
    work = open_work(cache.folder, verifier.work_key())
    blocks = [(_entry_name(block), block) for block in _blocks(images)]
    work.keep_only({name for name, _ in blocks})
    missing = [(name, block) for name, block in blocks if not work.has(name)]
    advance(len(images) - sum(len(block) for _, block in missing))
    jobs = [
        _Job(folder, tuple(missing[first : first + BLOCKS_PER_JOB]), verifier, work)
        for first in range(0, len(missing), BLOCKS_PER_JOB)
    ]
    with report_kept(lambda: _kept(blocks, work)):
        for count in run_jobs(_compute_blocks, jobs, cache.workers):
            advance(count)
    return FeatureCache(tuple((work.path(name), len(block)) for name, block in blocks))


def _kept(blocks: Sequence[tuple[str, Sequence[Image]]], work: WorkCache) -> str:
    done = sum(len(block) for name, block in blocks if work.path(name).exists())
    total = sum(len(block) for _, block in blocks)
    return f"features of {done:,} of {total:,} images are kept in {work.folder.parent}"


def _blocks(images: Sequence[Image]) -> list[tuple[Image, ...]]:
    blocks = []
    for _, group in itertools.groupby(images, key=lambda image: image.shard):
        shard = tuple(group)
        blocks += [shard[first : first + BLOCK] for first in range(0, len(shard), BLOCK)]
    return blocks


def _entry_name(block: Sequence[Image]) -> str:
    text = json.dumps([(image.sha256, image.fault) for image in block])
    return f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.npy"


def _compute_blocks(job: _Job) -> int:
    """Compute and write each block; returns the number of images."""
    with torch_threads(1):  # the result must not depend on the number of threads
        verify = job.verifier.load()
        for name, images in job.blocks:
            batches = [images[first : first + _BATCH] for first in range(0, len(images), _BATCH)]
            rows = np.concatenate([_compute_batch(job.folder, batch, verify) for batch in batches])
            with job.work.write(name) as file:
                np.save(file, rows)
    return sum(len(images) for _, images in job.blocks)


def _compute_batch(folder: Path, images: Sequence[Image], verify: Verifier) -> NDArray[Any]:
    decoded: dict[int, Pixels] = {}
    errors: dict[int, str] = {}
    for row, image in enumerate(images):
        if image.fault is None:
            try:
                decoded[row] = decode(read_bytes(folder, image))
            except DataError as error:
                errors[row] = str(error)
    output = verify(list(decoded.values()) or [_BLANK])
    rows = np.zeros(len(images), _dtype(output.probabilities.shape[1], output.features.shape[1]))
    for position, (row, pixels) in enumerate(decoded.items()):
        rows[row]["measures"] = measure_quality(pixels)
        rows[row]["perceptual_hash"] = fingerprint(pixels)
        rows[row]["probabilities"] = output.probabilities[position]
        rows[row]["features"] = output.features[position]
    for row, message in errors.items():
        rows[row]["error"] = message.encode()[:_ERROR_BYTES]
    return rows


def _dtype(labels: int, width: int) -> np.dtype[Any]:
    return np.dtype(
        [
            ("measures", np.float64, (len(MEASURES),)),
            ("perceptual_hash", np.uint64, (3,)),
            ("probabilities", np.float64, (labels,)),
            ("features", np.float16, (width,)),
            ("error", f"S{_ERROR_BYTES}"),
        ]
    )

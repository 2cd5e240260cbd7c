"""Cached results of the ARM lab, so that nothing is emulated twice.

Counts and probabilities are determined by the artifact's bytes, the frames, the processor, the lab and the code that
runs there. The last two are the key of the work area (``pipeline.data.work_cache``); the others give an entry its name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.arm64 import emulated, guest_script
from pipeline.data.work_cache import WorkCache, open_work, work_key
from pipeline.errors import ModelError


@dataclass(frozen=True, slots=True)
class ResultCache:
    """Results of one lab. A damaged entry is measured again."""

    work: WorkCache

    def count(self, name: str, measure: Callable[[], int]) -> int:
        """Return the cached count, or measure and cache one."""
        entry = f"{name}.json"
        if self.work.has(entry):
            return int(json.loads(self.work.path(entry).read_bytes()))
        fresh = measure()
        with self.work.write(entry) as file:
            file.write(json.dumps(fresh).encode())
        return fresh

    def probabilities(self, name: str, predict: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return cached probabilities, float32 (n, labels), or compute and cache them."""
        entry = f"{name}.npy"
        if self.work.has(entry):
            return np.asarray(np.load(self.work.path(entry)), np.float32)
        fresh = predict()
        with self.work.write(entry) as file:
            np.save(file, fresh)
        return fresh


def open_results(folder: Path, lab: str, runtimes: Iterable[Path] = ()) -> ResultCache:
    """Open the results of a lab.

    Args:
        folder: The work area.
        lab: Identity of the lab: another one may count and predict otherwise.
        runtimes: Scripts of the formats that run there.
    """
    scripts = [Path(guest_script.__file__), *runtimes]  # their bytes, comments included: they can move what is counted
    return ResultCache(open_work(folder, work_key({"lab": lab, "scripts": scripts}, (emulated.__name__,))))


def entry_name(artifact: Path, frames: NDArray[np.uint8], *how: str) -> str:
    """Name a result by what it depends on within a lab.

    Args:
        artifact: A model file; its bytes count, its place does not.
        frames: uint8 (n, height, width, 3) RGB.
        how: Task, format and processor.

    Raises:
        ModelError: There is no such artifact.
    """
    if not artifact.is_file():
        raise ModelError(f"{artifact}: missing; expected a model file; run dvc repro")
    return work_key({"artifact": artifact, "frames": frames, "how": how}, ())

"""What a lab found out before, so that nothing is emulated twice: FOLDER/KEY.json or .npy, KEY a hash of all it is of.

Counts and answers are determined by the artifact's bytes, the frames, the lab and the guest script; each is in the key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.data.storage import atomic_write
from pipeline.errors import ModelError


@dataclass(frozen=True, slots=True)
class Kept:
    """A folder of earlier results; ``lab`` tells labs apart. What cannot be read is measured again."""

    folder: Path
    lab: str

    def number(self, key: str, find: Callable[[], int]) -> int:
        """An earlier count, or a new one."""
        path = self.folder / f"{key}.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found = None
        if isinstance(found, int):
            return found
        fresh = find()
        with atomic_write(path) as file:
            file.write(json.dumps(fresh).encode())
        return fresh

    def rows(self, key: str, find: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
        """Earlier answers float32 (n, labels), or new ones."""
        path = self.folder / f"{key}.npy"
        try:
            return np.asarray(np.load(path), np.float32)
        except (OSError, ValueError, EOFError):
            fresh = find()
        with atomic_write(path) as file:
            np.save(file, fresh)
        return fresh

    def key(self, artifact: Path, frames: NDArray[np.uint8], *how: str) -> str:
        """Name what is asked: the artifact's bytes, the frames, and ``how`` they are run.

        Raises:
            ModelError: There is no such artifact.
        """
        if not artifact.is_file():
            raise ModelError(f"{artifact}: missing; expected a model file; run dvc repro")
        parts = [self.lab, hashlib.sha256(artifact.read_bytes()).hexdigest(), str(frames.shape), *how]
        digest = hashlib.sha256(json.dumps(parts).encode())
        digest.update(np.ascontiguousarray(frames).data)
        return digest.hexdigest()

"""Opens the ARM lab: the emulated one that was set up, or this machine itself where it is an ARM machine.

Reads the lab's folder; writes results to its cache folder. Setting it up is ``benchmarks.arm64.setup``.
"""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.arm64.emulated import EmulatedLab, can_fix_addresses
from benchmarks.arm64.guests import arm64_guests
from benchmarks.arm64.lab_layout import CACHE, RECORD, SETUP, LabRecord, emulator_version, installed_runtimes
from benchmarks.arm64.native import NativeLab
from benchmarks.arm64.result_cache import ResultCache, entry_name, open_results
from pipeline.data.storage import read_json
from pipeline.errors import DataError


class Lab(Protocol):
    """Runs artifacts on ARM processors.

    Attributes:
        id: Identifies the lab; labs with other ids may give other counts and probabilities.
        cpus: Processors whose instructions it counts; inference runs on the first.
        emulated: Whether ARM is emulated on another architecture.
    """

    @property
    def id(self) -> str: ...  # noqa: D102 - see Attributes

    @property
    def cpus(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def emulated(self) -> bool: ...  # noqa: D102

    def instructions(self, artifact: Path, format_name: str, frame: NDArray[np.uint8], cpu: str) -> int:
        """Instructions of one inference on an RGB frame, uint8 (height, width, 3), on one thread.

        Raises:
            ModelError: The artifact cannot be run there, or instructions cannot be counted.
        """

    def predict(self, artifact: Path, format_name: str, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities, float32 (n, labels), of RGB frames, uint8 (n, height, width, 3).

        Raises:
            ModelError: The artifact cannot be run there.
        """


@dataclass(frozen=True, slots=True)
class CachedLab:
    """A lab with a cache of its results."""

    lab: Lab
    results: ResultCache

    @property
    def id(self) -> str:
        """That of the lab itself."""
        return self.lab.id

    @property
    def cpus(self) -> tuple[str, ...]:
        """Those of the lab itself."""
        return self.lab.cpus

    @property
    def emulated(self) -> bool:
        """Whether the lab itself is emulated."""
        return self.lab.emulated

    def instructions(self, artifact: Path, format_name: str, frame: NDArray[np.uint8], cpu: str) -> int:
        """The cached count, or a new one."""
        name = entry_name(artifact, frame[None], "instructions", format_name, cpu)
        return self.results.count(name, lambda: self.lab.instructions(artifact, format_name, frame, cpu))

    def predict(self, artifact: Path, format_name: str, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Cached probabilities, or new ones."""
        name = entry_name(artifact, frames, "answers", format_name, self.cpus[0])
        return self.results.probabilities(name, lambda: self.lab.predict(artifact, format_name, frames))


def open_lab(folder: Path) -> Lab | str:
    """Open the lab; where there is none, return the reason and the command that sets it up."""
    if platform.machine().lower() in ("aarch64", "arm64"):
        return NativeLab() if sys.platform == "linux" else "on an ARM machine the lab needs Linux"
    if not (folder / RECORD).is_file():
        return f"{folder}: no ARM lab; expected one; run {SETUP} {folder}"
    try:
        record = read_json(folder / RECORD, LabRecord)
    except DataError as error:
        return f"{error}; run {SETUP} {folder}"
    stale = _stale(record)
    if stale:
        return f"{folder}: an ARM lab with {stale}; run {SETUP} {folder}"
    runtimes = {name: guest.script for name, guest in arm64_guests().items()}
    lab = EmulatedLab(folder.resolve(), record.id(), can_fix_addresses(), runtimes)
    return CachedLab(lab, open_results(folder / CACHE, lab.id, runtimes.values()))


def _stale(record: LabRecord) -> str:
    """What has changed on this machine since the lab was set up; empty where nothing has."""
    for name, version in installed_runtimes().items():
        if record.runtimes.get(name) != version:
            return f"{name} {record.runtimes.get(name)}; expected {version}, as in this environment"
    version = emulator_version()
    return (
        ""
        if version == record.emulator
        else f"QEMU {record.emulator}; expected {version or 'none'}, as on this machine"
    )

"""Opens the ARM lab: an emulated one where it was set up, the machine itself where that is an ARM machine.

Reads the lab's folder; writes what was found out to its ``kept`` folder. Nothing is fetched and nothing set up here.
"""

from __future__ import annotations

import hashlib
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.arm64 import guest_script
from benchmarks.arm64.emulated import EmulatedLab, can_fix_addresses
from benchmarks.arm64.lab_layout import KEPT, RECORD, SETUP, LabRecord, emulator_version, installed_runtimes
from benchmarks.arm64.native import NativeLab
from benchmarks.arm64.result_cache import Kept
from pipeline.data.storage import read_json
from pipeline.errors import DataError

FORMATS = tuple(guest_script.RUNTIMES)


class Lab(Protocol):
    """What answers as a phone's processor does.

    Attributes:
        id: Of the lab: another one may count and answer otherwise.
        cpus: Processors it counts for; decisions are those of the first.
        emulated: Whether this machine's own answers are another architecture's.
    """

    @property
    def id(self) -> str: ...  # noqa: D102 - see Attributes

    @property
    def cpus(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def emulated(self) -> bool: ...  # noqa: D102

    def instructions(self, artifact: Path, format_name: str, frame: NDArray[np.uint8], cpu: str) -> int:
        """Instructions executed for one inference of a uint8 (height, width, 3) RGB frame, on one thread.

        Raises:
            ModelError: The artifact cannot be run there, or nothing can be counted.
        """

    def answers(self, artifact: Path, format_name: str, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities float32 (n, labels) of uint8 (n, height, width, 3) RGB frames.

        Raises:
            ModelError: The artifact cannot be run there.
        """


@dataclass(frozen=True, slots=True)
class RememberingLab:
    """A lab that asks another one only what it was never asked."""

    lab: Lab
    kept: Kept

    @property
    def id(self) -> str:
        """The other one's."""
        return self.lab.id

    @property
    def cpus(self) -> tuple[str, ...]:
        """The other one's."""
        return self.lab.cpus

    @property
    def emulated(self) -> bool:
        """Whether the other one is."""
        return self.lab.emulated

    def instructions(self, artifact: Path, format_name: str, frame: NDArray[np.uint8], cpu: str) -> int:
        """Count, or remember."""
        key = self.kept.key(artifact, frame[None], "instructions", format_name, cpu)
        return self.kept.number(key, lambda: self.lab.instructions(artifact, format_name, frame, cpu))

    def answers(self, artifact: Path, format_name: str, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Answer, or remember."""
        key = self.kept.key(artifact, frames, "answers", format_name, self.cpus[0])
        return self.kept.rows(key, lambda: self.lab.answers(artifact, format_name, frames))


def open_lab(folder: Path) -> Lab | str:
    """Open the lab; where there is none, say why and how it is set up."""
    if platform.machine().lower() in ("aarch64", "arm64"):
        return NativeLab() if sys.platform == "linux" else "an ARM machine counts and answers itself under Linux only"
    if not (folder / RECORD).is_file():
        return f"{folder}: no ARM lab; set up by: {SETUP} {folder}"
    try:
        record = read_json(folder / RECORD, LabRecord)
    except DataError as error:
        return f"{error}; set up anew by: {SETUP} {folder}"
    stale = _stale(record)
    if stale:
        return f"{folder}: an ARM lab of {stale}; set up anew by: {SETUP} {folder}"
    script = hashlib.sha256(Path(guest_script.__file__).read_bytes()).hexdigest()
    lab = EmulatedLab(folder.resolve(), record.id(), can_fix_addresses())
    return RememberingLab(lab, Kept(folder / KEPT, f"{lab.id} {script}"))


def _stale(record: LabRecord) -> str:
    """What of the machine has changed since the lab was set up; empty where nothing has."""
    for name, version in installed_runtimes().items():
        if record.runtimes.get(name) != version:
            return f"{name} {record.runtimes.get(name)}, where this environment has {version}"
    version = emulator_version()
    return "" if version == record.emulator else f"QEMU {record.emulator}, where this machine has {version or 'none'}"

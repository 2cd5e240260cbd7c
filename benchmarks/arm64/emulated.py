"""The emulated lab: QEMU's user mode runs the guest script, and a plug-in counts its instructions.

Needs no privileges and no containers: the emulator looks up absolute paths in the processor's root first (-L).
Everything that changes memory addresses is fixed (environment, file names, address space layout), so LiteRT executes
the same number of instructions in every run, and ONNX Runtime the same within 0.1 per cent.
"""

from __future__ import annotations

import platform
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.arm64 import guest_script
from benchmarks.arm64.lab_layout import EMULATOR, PLUGIN, PROCESSORS, WHEELS
from pipeline.errors import ModelError

COUNTED = 5
TIMEOUT_S = 1800
_RUNTIME, _MODEL, _FRAMES, _OUTPUT = "runtime.py", "model", "frames.npy", "output.npy"
_COUNTS, _SCRIPT = "counts", "guest.py"


@dataclass(frozen=True, slots=True)
class EmulatedLab:
    """A lab in a folder.

    Attributes:
        folder: The folder, an absolute path.
        id: Identifies the lab.
        fix_addresses: Whether the kernel can switch off address randomisation.
        runtimes: Format name -> script that runs the format (``export.formats.Arm64Guest``).
        emulated: Always true.
        cpus: Processors that are emulated.
    """

    folder: Path
    id: str
    fix_addresses: bool
    runtimes: Mapping[str, Path]
    emulated: bool = True
    cpus: tuple[str, ...] = tuple(processor.name for processor in PROCESSORS)

    def instructions(self, artifact: Path, format_name: str, frame: NDArray[np.uint8], cpu: str) -> int:
        """Median of five counts of one frame, after a warm-up."""
        with self._work_folder(artifact, format_name, frame[None]) as work:
            self._run_task(artifact, work, cpu, ["count", _RUNTIME, _MODEL, _FRAMES, str(COUNTED)])
            counts = read_counts(work / _COUNTS)
        if len(counts) != COUNTED:
            raise ModelError(f"{artifact}: {len(counts)} counts on {cpu}; expected {COUNTED}")
        return int(statistics.median(counts))

    def predict(self, artifact: Path, format_name: str, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run all frames in one process, because starting one is slow."""
        with self._work_folder(artifact, format_name, frames) as work:
            self._run_task(artifact, work, self.cpus[0], ["predict", _RUNTIME, _MODEL, _FRAMES, _OUTPUT])
            return np.asarray(np.load(work / _OUTPUT), np.float32)

    @contextmanager
    def _work_folder(self, artifact: Path, format_name: str, frames: NDArray[np.uint8]) -> Iterator[Path]:
        """A folder inside the lab with runtime script, model and frames, under the same names for every artifact."""
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            shutil.copyfile(self.runtimes[format_name], Path(scratch) / _RUNTIME)
            shutil.copyfile(artifact, Path(scratch) / _MODEL)
            np.save(Path(scratch) / _FRAMES, frames)
            yield Path(scratch)

    def _run_task(self, artifact: Path, work: Path, cpu: str, arguments: list[str]) -> None:
        """Run a task of the guest script in the lab's folder, with paths relative to it."""
        place = work.relative_to(self.folder)
        relative = [str(place / name) if name in (_RUNTIME, _MODEL, _FRAMES, _OUTPUT) else name for name in arguments]
        try:
            self.run(work, cpu, relative, counted=arguments[0] == "count")
        except ModelError as error:
            raise ModelError(f"{artifact}: {error}") from error

    def run(self, work: Path, cpu: str, arguments: list[str], *, counted: bool = False) -> str:
        """Run the guest script on a processor in a folder of the lab; returns what it printed.

        Raises:
            ModelError: It failed, or took longer than ``TIMEOUT_S``.
        """
        shutil.copyfile(guest_script.__file__, work / _SCRIPT)
        command = self.command(work.relative_to(self.folder), cpu, counted=counted)
        try:
            done = subprocess.run(
                [*command, *arguments],
                cwd=self.folder,
                env=_environment(cpu),
                capture_output=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ModelError(f"not run by an emulated {cpu} within {TIMEOUT_S} s") from error
        if done.returncode != 0:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"exit {done.returncode}"]
            raise ModelError(f"cannot be run by an emulated {cpu}: {last[0]}")
        return done.stdout.decode()

    def command(self, place: Path, cpu: str, *, counted: bool) -> list[str]:
        """Command that runs the guest script in ``place``; paths are relative to the lab."""
        fixed = [shutil.which("setarch") or "setarch", platform.machine(), "-R"] if self.fix_addresses else []
        plugin = ["-plugin", f"./{PLUGIN},out={place / _COUNTS}"] if counted else []
        interpreter = [f"{cpu}/usr/bin/python3", "-s", "-S"]
        emulator = shutil.which(EMULATOR) or EMULATOR  # the guest has another PATH
        return [*fixed, emulator, "-cpu", cpu, "-L", cpu, *plugin, *interpreter, str(place / _SCRIPT)]


def can_fix_addresses() -> bool:
    """Whether this kernel lets a process switch off address randomisation; containers may forbid it."""
    try:
        done = subprocess.run(["setarch", platform.machine(), "-R", "true"], capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def read_counts(path: Path) -> list[int]:
    """Read the counts that the plug-in wrote, one per line."""
    return [int(line) for line in path.read_text(encoding="utf-8").split()] if path.is_file() else []


def _environment(cpu: str) -> dict[str, str]:
    """The guest's whole environment, the same wherever it is started."""
    return {
        "PATH": "/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": f"{cpu}/{WHEELS}",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }

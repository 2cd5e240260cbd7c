"""The lab of an ARM machine, which is the machine itself: inference in a separate process, counts from Linux's perf.

    perf stat -e instructions:u   counts the instructions of a process outside the kernel

One process runs a frame ``FEW`` times, another ``MANY`` times; their counts differ by those of the extra runs.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.arm64 import guest_script
from benchmarks.arm64.guests import arm64_guests
from pipeline.errors import ModelError

CPU = "native"
FEW, MANY = 5, 55
EVENT = "instructions:u"
TIMEOUT_S = 600


@dataclass(frozen=True, slots=True)
class NativeLab:
    """This ARM machine."""

    id: str = f"{CPU} {platform.machine()}"
    cpus: tuple[str, ...] = (CPU,)
    emulated: bool = False

    def instructions(self, artifact: Path, format_name: str, frame: NDArray[np.uint8], cpu: str) -> int:  # noqa: ARG002
        """Count two processes; divide the difference of their counts by that of their runs."""
        if shutil.which("perf") is None:
            raise ModelError("this machine has no perf; instructions are counted where perf stat works")
        with tempfile.TemporaryDirectory() as scratch:
            frames = Path(scratch) / "frames.npy"
            np.save(frames, frame[None])
            few, many = (
                read_perf(_start(["perf", "stat", "-x,", "-e", EVENT, "--"], artifact, format_name, frames, str(times)))
                for times in (FEW, MANY)
            )
        return round((many - few) / (MANY - FEW))

    def predict(self, artifact: Path, format_name: str, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run all frames in one process."""
        with tempfile.TemporaryDirectory() as scratch:
            pixels, out = Path(scratch) / "frames.npy", Path(scratch) / "output.npy"
            np.save(pixels, frames)
            _start([], artifact, format_name, pixels, str(out))
            return np.asarray(np.load(out), np.float32)


def read_perf(text: str) -> int:
    """Read the count from ``perf stat -x,``: a line ``VALUE,UNIT,EVENT,...``.

    Raises:
        ModelError: perf cannot count instructions on this machine.
    """
    for line in text.splitlines():
        fields = line.split(",")
        if len(fields) > 2 and fields[2].startswith("instructions"):
            if fields[0].isdigit():
                return int(fields[0])
            raise ModelError(f"perf stat -e {EVENT}: {fields[0].strip('<>')} on this machine")
    last = text.strip().splitlines()[-1:] or ["no output"]
    raise ModelError(f"perf stat -e {EVENT}: {last[0]}")


def _start(prefix: list[str], artifact: Path, format_name: str, frames: Path, last: str) -> str:
    """Run the guest script with this Python; returns its stderr, which includes the output of perf."""
    task = "count" if prefix else "predict"
    runtime = arm64_guests()[format_name].script
    command = [*prefix, sys.executable, guest_script.__file__, task, *map(str, (runtime, artifact, frames)), last]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"{artifact}: not run within {TIMEOUT_S} s") from error
    if done.returncode != 0:
        last_line = done.stderr.strip().splitlines()[-1:] or [f"exit {done.returncode}"]
        raise ModelError(f"{artifact}: cannot be run by {format_name}'s runtime: {last_line[0]}")
    return done.stderr

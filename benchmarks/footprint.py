"""What a command costs: its wall-clock time and the memory of its largest process, read from the kernel."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import DataError
from pipeline.params import ROOT


@dataclass(frozen=True, slots=True)
class Footprint:
    """Seconds, and bytes of resident memory at the peak of the process, or of the child, that took most."""

    seconds: float
    peak_rss_bytes: int


def run_measured(folder: Path, *arguments: str | Path) -> Footprint:
    """Run a command of Gossamer in a folder; what it prints goes to FOLDER/COMMAND.log.

    Raises:
        DataError: It failed.
    """
    words = [str(argument) for argument in arguments]
    log = folder / f"{words[0]}.log"
    start = time.perf_counter()
    with log.open("wb") as file:
        command = [sys.executable, "-m", "pipeline.cli", *words]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=file, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise DataError(f"{folder}: gossamer {' '.join(words)} ended with {process.returncode}; see {log}")
    kilobytes = 1 if sys.platform == "darwin" else 1024  # macOS counts in bytes
    return Footprint(time.perf_counter() - start, usage.ru_maxrss * kilobytes)

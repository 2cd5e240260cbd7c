"""Measures a command: its duration, and the peak memory of its largest process.

The kernel also counts what a process inherits from the one that starts it, so a small process starts the command.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pipeline.config.fields import ROOT
from pipeline.data.records import Record
from pipeline.errors import DataError

_STARTER = """
import json, os, subprocess, sys, time
start = time.perf_counter()
with open(sys.argv[1], "wb") as log:
    process = subprocess.Popen(sys.argv[2:], stdout=log, stderr=subprocess.STDOUT)
    _, status, usage = os.wait4(process.pid, 0)
process.returncode = os.waitstatus_to_exitcode(status)
seconds = time.perf_counter() - start
print(json.dumps({"exit_status": process.returncode, "seconds": seconds, "max_rss": usage.ru_maxrss}))
"""


class CommandCost(Record):
    """Cost of a command.

    Attributes:
        exit_status: Its exit status.
        seconds: Its duration.
        max_rss: Peak resident memory of its largest process in the kernel's unit: bytes on macOS, else KiB.
    """

    exit_status: int
    seconds: float
    max_rss: int

    @property
    def peak_rss_bytes(self) -> int:
        """Peak resident memory of its largest process, in bytes."""
        return self.max_rss * (1 if sys.platform == "darwin" else 1024)


def run_measured(folder: Path, *arguments: str | Path) -> CommandCost:
    """Run a command of Gossamer in a folder; its output goes to FOLDER/COMMAND.log.

    Raises:
        DataError: The command failed.
    """
    words = [str(argument) for argument in arguments]
    log = folder / f"{words[0]}.log"
    command = [sys.executable, "-c", _STARTER, str(log), sys.executable, "-m", "pipeline.cli", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    cost = CommandCost.model_validate_json(done.stdout)
    if cost.exit_status:
        raise DataError(f"{folder}: gossamer {' '.join(words)} ended with {cost.exit_status}; see {log}")
    return cost

"""What a command costs: its wall-clock time and the memory of its largest process, read from the kernel.

The kernel counts for a process what its parent held when it was started, too. So a small process stands between.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.fields import ROOT
from pipeline.errors import DataError

_BETWEEN = """
import json, os, subprocess, sys, time
start = time.perf_counter()
with open(sys.argv[1], "wb") as log:
    process = subprocess.Popen(sys.argv[2:], stdout=log, stderr=subprocess.STDOUT)
    _, status, usage = os.wait4(process.pid, 0)
process.returncode = os.waitstatus_to_exitcode(status)
seconds = time.perf_counter() - start
print(json.dumps({"code": process.returncode, "seconds": seconds, "peak": usage.ru_maxrss}))
"""


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
    command = [sys.executable, "-c", _BETWEEN, str(log), sys.executable, "-m", "pipeline.cli", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    told = json.loads(done.stdout)
    if told["code"]:
        raise DataError(f"{folder}: gossamer {' '.join(words)} ended with {told['code']}; see {log}")
    kilobytes = 1 if sys.platform == "darwin" else 1024  # macOS counts in bytes
    return Footprint(told["seconds"], told["peak"] * kilobytes)

"""Runs a function in a fresh process: the request goes in and the result comes back as JSON files.

``run_isolated`` starts ``python -m MODULE REQUEST RESULT`` and waits; the module's ``main`` calls ``main_isolated``.
A fresh process is needed because the memory of a runtime cannot be separated from that of another loaded before it, and
because a process is faster or slower for its whole life depending on its memory layout.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pipeline.config.fields import ROOT
from pipeline.data.records import Record
from pipeline.data.storage import read_json, write_json
from pipeline.errors import GossamerError, ModelError

Request = TypeVar("Request", bound=Record)
Result = TypeVar("Result", bound=Record)
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class ProcessRequest:
    """A process to start.

    Attributes:
        module: Module whose ``main`` runs in it.
        path: The artifact that it runs, for error messages.
        format: The artifact's format, for error messages.
        threads: Value of OMP_NUM_THREADS and similar variables.
        timeout_s: Seconds after which it is stopped.
        timeout_remedy: What to do where that is too short, for error messages.
    """

    module: str
    path: Path
    format: str
    threads: int
    timeout_s: float
    timeout_remedy: str


def run_isolated(process: ProcessRequest, request: Record, result_type: type[Result]) -> Result:
    """Start the process with a request, and return its result.

    Raises:
        ModelError: The process could not load or run the artifact, or exceeded the timeout.
    """
    with tempfile.TemporaryDirectory() as folder:
        request_file, result_file = Path(folder) / "request.json", Path(folder) / "result.json"
        write_json(request_file, request)
        command = [sys.executable, "-m", process.module, str(request_file), str(result_file)]
        environment = _environment(process.threads)
        try:
            done = subprocess.run(command, env=environment, capture_output=True, timeout=process.timeout_s, check=False)
        except subprocess.TimeoutExpired as error:
            raise ModelError(
                f"{process.path}: not measured within {process.timeout_s:g} s; {process.timeout_remedy}"
            ) from error
        if done.returncode != 0:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"exit {done.returncode}"]
            raise ModelError(f"{process.path}: cannot be run by {process.format}'s runtime: {last[0]}")
        return read_json(result_file, result_type)


def main_isolated(arguments: Sequence[str], request_type: type[Request], function: Callable[[Request], Record]) -> int:
    """Run in the started process: read the request, call the function, write its result; returns the exit status."""
    request_file, result_file = map(Path, arguments)
    try:
        write_json(result_file, function(read_json(request_file, request_type)))
    except GossamerError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def _environment(threads: int) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    variables = dict.fromkeys(_THREAD_VARIABLES, str(threads))
    return {**os.environ, **variables, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}

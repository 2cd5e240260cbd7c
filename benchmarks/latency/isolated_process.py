"""A fresh process for what must be timed alone: a request goes in as JSON, an answer comes back as JSON.

``ask`` starts ``python -m MODULE REQUEST ANSWER`` and waits; the module's ``main`` calls ``serve``. A fresh process,
because memory that another runtime has taken cannot be told apart, and because where a process's memory happens to lie
makes it faster or slower for as long as it lives.
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

from pipeline.data.records import Record
from pipeline.data.storage import read_json, write_json
from pipeline.errors import GossamerError, ModelError

Asked = TypeVar("Asked", bound=Record)
Answered = TypeVar("Answered", bound=Record)


@dataclass(frozen=True, slots=True)
class Errand:
    """What a child is started for.

    Attributes:
        module: Whose ``main`` it runs.
        path: The artifact, as errors name it.
        format: Whose runtime runs it.
        threads: What libraries are told that ask the environment.
        timeout_s: When it is given up.
        shorten: The setting that makes it shorter, as errors name it.
    """

    module: str
    path: Path
    format: str
    threads: int
    timeout_s: float
    shorten: str


def ask(errand: Errand, request: Record, kind: type[Answered]) -> Answered:
    """Run a request in a process of its own.

    Raises:
        ModelError: The process could not load or run the artifact, or took longer than the errand allows.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "request.json", Path(folder) / "answer.json"
        write_json(asked, request)
        command = [sys.executable, "-m", errand.module, str(asked), str(answered)]
        environment = _environment(errand.threads)
        try:
            done = subprocess.run(command, env=environment, capture_output=True, timeout=errand.timeout_s, check=False)
        except subprocess.TimeoutExpired as error:
            raise ModelError(
                f"{errand.path}: not measured within {errand.timeout_s:g} s; {errand.shorten}: less?"
            ) from error
        if done.returncode != 0:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"exit {done.returncode}"]
            raise ModelError(f"{errand.path}: cannot be run by {errand.format}'s runtime: {last[0]}")
        return read_json(answered, kind)


def serve(arguments: Sequence[str], kind: type[Asked], act: Callable[[Asked], Record]) -> int:
    """Be the child: read the request, act, write the answer; returns the exit status."""
    asked, answered = map(Path, arguments)
    try:
        write_json(answered, act(read_json(asked, kind)))
    except GossamerError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def _environment(threads: int) -> dict[str, str]:
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    counts = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    return {**os.environ, **counts, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}

"""Loads .pte programs into ExecuTorch's runtime, each to run with its own number of threads.

A process has one thread pool, and replacing it invalidates the programs that were loaded before: they hold pointers to
the old one (https://github.com/pytorch/executorch/pull/17641). So a program is loaded again before it runs with a pool
that was made after it was loaded.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.toolkit_output import quiet_output
from pipeline.data.preprocess import Pixels
from pipeline.errors import ModelError

SCALAR_TYPES = {0: "uint8", 6: "float32"}
"""ExecuTorch's numbers of the types that Gossamer's programs use."""
_FORWARD = "forward"
_CONVERT = "run dvc repro convert@executorch"


@dataclass(slots=True)
class _ThreadPool:
    """The thread pool of this process; ``version`` counts how often it was replaced."""

    version: int = 0

    def resize(self, threads: int) -> int:
        """Replace the pool if it has another number of threads; returns the version of the pool."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the interface is experimental
            from executorch.extension.pybindings import portable_lib

        if portable_lib._threadpool_get_thread_count() != threads:  # noqa: SLF001 - there is no public way
            portable_lib._unsafe_reset_threadpool(threads)  # noqa: SLF001
            self.version += 1
        return self.version


_POOL = _ThreadPool()


class Classifier:
    """A .pte program that classifies one frame.

    Attributes:
        height: Height of the frame, pixels.
        width: Width of the frame, pixels.
    """

    def __init__(self, path: Path, threads: int) -> None:
        self._path, self._content, self._threads = path, read_content(path), threads
        self._method, self._pool = self._load(), _POOL.version
        _, self.height, self.width, _ = self._method.metadata.input_tensor_meta(0).sizes()

    def predict(self, frame: Pixels) -> NDArray[np.float32]:
        """Classify a frame, uint8 (height, width, 3) RGB: probabilities, float32 (labels,)."""
        import torch

        if _POOL.resize(self._threads) != self._pool:
            self._method, self._pool = self._load(), _POOL.version
        (probabilities,) = self._method.execute([torch.tensor(frame[None])])
        return np.asarray(probabilities[0].numpy(), np.float32)

    def _load(self) -> Any:  # noqa: ANN401 - the runtime is untyped
        with quiet_output():
            _POOL.resize(self._threads)
            return open_program(self._path, self._content).load_method(_FORWARD)


def read_content(path: Path) -> bytes:
    """Read a .pte file.

    Raises:
        ModelError: It is missing.
    """
    if not path.is_file():
        raise ModelError(f"{path}: missing; expected an ExecuTorch program; {_CONVERT}")
    return path.read_bytes()


def open_program(path: Path, content: bytes) -> Any:  # noqa: ANN401 - the runtime is untyped
    """Open a program in the runtime.

    Raises:
        ModelError: It is truncated, or not one of Gossamer's programs.
    """
    # The import warns that the interface is experimental, and the runtime describes the processor on stderr.
    with quiet_output(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from executorch.runtime import Runtime

        try:
            program = Runtime.get().load_program(content)
        except RuntimeError as error:
            raise ModelError(f"{path}: not a whole ExecuTorch program: {error}; {_CONVERT}") from error
    if _FORWARD not in program.method_names:
        raise ModelError(f"{path}: no method {_FORWARD!r}; expected a classifier; {_CONVERT}")
    return program


def run_constant(path: Path, program: Any, method: str) -> str:  # noqa: ANN401 - the runtime is untyped
    """Run a constant method of a program.

    Raises:
        ModelError: There is no such method.
    """
    if method not in program.method_names:
        raise ModelError(f"{path}: no method {method!r}; expected one of Gossamer's programs; {_CONVERT}")
    with quiet_output():
        (text,) = program.load_method(method).execute([])
    return str(text)

"""Silence the converters: their progress bars, banners and version warnings say nothing a user can act on.

Sets environment variables that the toolkits read when they are imported, so enter ``quiet_toolkits`` first.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ENVIRONMENT = {
    "TQDM_DISABLE": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "ABSL_MIN_LOG_LEVEL": "3",
}
_LOGGERS = ("coremltools", "torch.utils._pytree", "torch.onnx", "torch.export", "onnxscript", "onnx_ir", "root", "jax")


@contextmanager
def quiet_toolkits() -> Iterator[None]:
    """Hold back toolkits' warnings, log lines and progress bars, native code's too; exceptions pass through."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with quiet_output(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
            # Toolkits leave temporary folders to the garbage collector, which warns: let it do so in here.
            gc.collect()
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


@contextmanager
def quiet_output() -> Iterator[None]:
    """Hold back what is written to stdout and stderr, by native code too; costs microseconds, so loading may use it."""
    with _hold_back(1), _hold_back(2):
        yield


@contextmanager
def _hold_back(descriptor: int) -> Iterator[None]:
    """Send what is written to a file descriptor nowhere: native libraries know nothing of ``sys.stderr``."""
    _flush()
    kept = os.dup(descriptor)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), descriptor)
            try:
                yield
            finally:
                _flush()
                os.dup2(kept, descriptor)
    finally:
        os.close(kept)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()

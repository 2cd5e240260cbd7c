"""Silences the converters: their progress bars, banners and version warnings are of no use to a user.

Sets environment variables that toolkits read when they are imported, so enter ``quiet_toolkits`` before the import.
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


@contextmanager
def quiet_toolkits() -> Iterator[None]:
    """Hold back warnings, log lines below errors and all output, native code's too; exceptions pass through."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    disabled = logging.root.manager.disable
    logging.disable(max(disabled, logging.WARNING))
    try:
        with quiet_output(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
            # Toolkits leave temporary folders to the garbage collector, which warns: let it do so in here.
            gc.collect()
    finally:
        logging.disable(disabled)


@contextmanager
def quiet_output() -> Iterator[None]:
    """Hold back what is written to stdout and stderr, by native code too; takes microseconds, so loading may use it."""
    with _discard(1), _discard(2):
        yield


@contextmanager
def _discard(descriptor: int) -> Iterator[None]:
    """Discard what is written to a file descriptor: native libraries write to it and not to ``sys.stderr``."""
    _flush()
    copy = os.dup(descriptor)
    try:
        with Path(os.devnull).open("wb") as null:
            os.dup2(null.fileno(), descriptor)
            try:
                yield
            finally:
                _flush()
                os.dup2(copy, descriptor)
    finally:
        os.close(copy)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()

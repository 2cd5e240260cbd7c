"""Silence the converters: their progress bars, banners and version warnings say nothing a user can act on.

Sets environment variables that the toolkits read when they are imported, so enter ``quiet_toolkits`` before importing one.
"""

from __future__ import annotations

import gc
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_ENVIRONMENT = {
    "TQDM_DISABLE": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "ABSL_MIN_LOG_LEVEL": "3",
}
_LOGGERS = ("coremltools", "torch.utils._pytree", "torch.onnx", "torch.export", "onnxscript", "onnx_ir", "root", "jax")


@contextmanager
def quiet_toolkits() -> Iterator[None]:
    """Hold back toolkits' warnings and log lines below ERROR; exceptions pass through."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
            # Toolkits leave temporary folders to the garbage collector, which warns: let it do so in here.
            gc.collect()
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)

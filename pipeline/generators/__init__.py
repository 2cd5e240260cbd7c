"""Generators turn prompts into pictures. One file each; the file name is the name; there is no registry.

A generator module has:

    Params              a frozen pydantic model: its section of params.yaml under ``generate``
    PARALLEL            whether several processes may draw at once
    create(...)         opens it: (Params, (width, height)) -> Draw
    fingerprint(...)    what its pictures depend on beside code and params, e.g. the files of a model

A ``Draw`` takes prompts and yields one picture each, in order: uint8 (height, width, 3) RGB, or float32 in 0..1, in
which a failure of the generator may show as NaN.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ParamsError
from pipeline.records import Prompt

Drawn = NDArray[np.uint8] | NDArray[np.float32]
Draw = Callable[[Sequence[Prompt]], Iterator[Drawn]]


def generator_names() -> tuple[str, ...]:
    """Names of all generators, by file name."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def find_generator(name: str) -> ModuleType:
    """Import a generator's module.

    Raises:
        ParamsError: There is no such file.
    """
    if name not in generator_names():
        raise ParamsError(f"params.yaml generate.generator: {name!r}; expected one of {', '.join(generator_names())}")
    return importlib.import_module(f"{__name__}.{name}")

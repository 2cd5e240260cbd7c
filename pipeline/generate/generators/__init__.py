"""Generators turn prompts into pictures. One file each; the file name is the name; there is no registry.

A generator module has:

    Params              a frozen pydantic model: its section of params.yaml under ``generate``
    create(...)         opens it: Params -> Draw
    processes(...)      how many processes may draw at once: (Params, those wanted) -> int; changes no picture
    describe(...)       what its pictures depend on beside code and prompts, for people too: Params -> Description

A ``Draw`` takes prompts and yields one picture each, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from pipeline.data.records import Fault, Prompt
from pipeline.machine import plugins


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as it was drawn.

    Attributes:
        pixels: uint8 (height, width, 3) RGB, or float32 in 0..1, in which a failure may show as NaN.
        fault: What only the generator can know of, e.g. that its safety checker blanked it.
    """

    pixels: NDArray[np.uint8] | NDArray[np.float32]
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Description:
    """What draws, in words that are the same on every machine.

    Attributes:
        kind: How the images were made: a phrase that goes on from "9,600 images".
        model: Hub id or folder name of a model, or None.
        revision: Its commit, or a hash of its files.
        licence: Of the model, or of the code where there is none; "unknown" where nobody says.
        licence_tag: The same in the hub's vocabulary, which calls many "other".
        settings: Values of params.yaml that its pictures depend on.
    """

    kind: str
    model: str | None
    revision: str | None
    licence: str
    licence_tag: str
    settings: Mapping[str, str | float | bool | None]


Draw = Callable[[Sequence[Prompt]], Iterator[Picture]]


def find_generator(name: str) -> ModuleType:
    """Import a generator's module.

    Raises:
        ParamsError: There is no such generator.
    """
    return plugins.find(__name__, name, "params.yaml generate.generator")

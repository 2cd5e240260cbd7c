"""Generators turn prompts into images. One module each, found by its name (``pipeline.machine.plugins``).

A generator module defines:

    Params              a frozen pydantic model: its section of params.yaml under ``generate``
    create(...)         Params -> Draw: loads the generator
    processes(...)      (Params, requested) -> int: number of processes that may draw at once; it changes no image
    describe(...)       Params -> Description: what its images depend on besides code and prompts
    vocabulary(...)     Params -> Vocabulary: the words, or the factors and values, that it can draw; optional: without
                        it, any

A ``Draw`` takes prompts and yields one image per prompt, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

from pipeline.data.records import Prompt
from pipeline.generate.generated_image import GeneratedImage
from pipeline.machine import plugins


@dataclass(frozen=True, slots=True)
class Description:
    """Origin of a set of images; the same on every machine.

    Attributes:
        kind: How the images were made: a phrase that continues "9,600 images of 4,800 scenes, ".
        model: Hub id or folder name of the model; None: no model.
        revision: The model's commit, or a hash of its files.
        licence: Licence of the model, or of the code if there is no model; "unknown" if it is not stated.
        licence_tag: The licence in the hub's vocabulary, in which many are "other".
        settings: Values of params.yaml that the images depend on.
    """

    kind: str
    model: str | None
    revision: str | None
    licence: str
    licence_tag: str
    settings: Mapping[str, str | float | bool | None]


Draw = Callable[[Sequence[Prompt]], Iterator[GeneratedImage]]


def find_generator(name: str) -> ModuleType:
    """Import a generator's module.

    Raises:
        ParamsError: There is no such generator.
    """
    return plugins.find(__name__, name, "params.yaml generate.generator")

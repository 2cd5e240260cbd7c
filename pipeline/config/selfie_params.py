"""Section ``selfies`` of params.yaml: the test sets.

Pure. ``pipeline.config.params`` composes params.yaml of it and the other sections.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from pipeline.config.fields import Natural, Part, Positive, Section, Seed, Side

SetName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
RENDERED = "rendered"
"""Name of the test set of rendered portraits."""


class PhotographSetParams(Section):
    """A test set of photographs, FOLDER/LABEL/*.jpg.

    Attributes:
        name: Its name in metrics, checks and the report.
        folder: Relative to the repository, or absolute.
        licence: The licence that the photographs are used under, in words or as an SPDX id.
        note: Anything a reader of the report should know, e.g. who took them and where.
        factors: A CSV file with a column ``file`` and one column per factor; None: there are no slices.
        part: Share of the folder to test on, whole groups at a time (docs/photographs.md).
    """

    name: SetName
    folder: Path
    licence: Annotated[str, Field(min_length=1, max_length=200)]
    note: Annotated[str, Field(max_length=500)] = ""
    factors: Path | None = None
    part: Part = (0.0, 1.0)


class SelfiesParams(Section):
    """The test sets, which training never sees: rendered portraits, and any number of folders of photographs.

    Attributes:
        count: Number of rendered selfies; 0: none, e.g. because the renderer cannot draw the policy's labels.
        width: Width of a rendered selfie, in pixels.
        height: Height of a rendered selfie, in pixels.
        seed: Seed of the rendered scenes.
        photographs: Further test sets.
        images_per_shard: Images per shard of every set.
    """

    RENAMED: ClassVar[Mapping[str, str]] = {
        "source": "photographs (a list of test sets; rendered selfies are one of their own, with count: 0 none)",
        "folder": "photographs.0.folder",
        "part": "photographs.0.part",
    }

    count: Natural
    width: Side
    height: Side
    seed: Seed
    photographs: tuple[PhotographSetParams, ...] = ()
    images_per_shard: Positive

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all test sets, the rendered one first."""
        return (*((RENDERED,) if self.count else ()), *(one.name for one in self.photographs))

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [RENDERED, *(one.name for one in self.photographs)]
        for place, name in enumerate(names[1:]):
            if names.index(name) <= place:
                also = "the rendered selfies" if name == RENDERED else f"photographs.{names.index(name) - 1}"
                raise ValueError(
                    f"photographs.{place}.name: {name!r}, also the name of {also}; expected each name once"
                )
        return self

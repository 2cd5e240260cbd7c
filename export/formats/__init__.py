"""The formats a phone reads: one file a format, discovered by file name; a new format is a new file in this folder.

A format is a module that fulfils ``Format``. All of them share one contract: a uint8 RGB frame named ``image`` goes in,
and float32 probabilities named ``probs`` come out, in the order of the labels.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from export.parity import Judge, Predict, Trace
from pipeline.config.fields import Section
from pipeline.config.params import Int8Params
from pipeline.data.preprocess import Pixels, PreprocessSpec
from pipeline.data.records import Quantisation
from pipeline.errors import DataError, ModelError
from pipeline.machine import plugins

if TYPE_CHECKING:  # torch stays out of processes that only run an artifact: their memory is measured
    from pipeline.train.model import PortableClassifier

INPUT = "image"
OUTPUT = "probs"


class FormatParams(Section):
    """What every format's section of params.yaml has: the recipes to export."""

    recipes: tuple[str, ...]


# Compared by identity, so that a format can keep what it made of a job for the job's next recipe.
@dataclass(frozen=True, slots=True, eq=False)
class ExportJob:
    """What a format turns into an artifact.

    Attributes:
        network: In eval mode, on the CPU.
        spec: Gives the input size; normalisation is inside ``network`` already.
        labels: In the order of the outputs.
        calibration: uint8 (n, height, width, 3) RGB frames for static quantisation.
        judge: What 8-bit recipes are held against.
        int8: How near they must answer.
        metadata: What the file says about itself, e.g. author, license, version.
        tell: Is told what is being done.
    """

    network: PortableClassifier
    spec: PreprocessSpec
    labels: tuple[str, ...]
    calibration: NDArray[np.uint8]
    judge: Judge
    int8: Int8Params
    metadata: Mapping[str, str] = field(default_factory=dict)
    tell: Callable[[str], None] = print


@dataclass(frozen=True, slots=True)
class Interface:
    """What an artifact's own reader says goes in and comes out; ``height`` and ``width`` in pixels."""

    input_name: str
    dtype: str
    layout: str
    height: int
    width: int
    output_name: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Runtime:
    """What ``load`` runs an artifact in on this machine.

    Attributes:
        name: The runtime, e.g. "LiteRT".
        unmeasured: Why time and memory taken here say nothing about the format; empty where they do.
    """

    name: str
    unmeasured: str = ""


class Format(Protocol):
    """A module of this folder."""

    TOOLS: tuple[str, ...]
    Params: type[FormatParams]

    def suffix(self, recipe: str) -> str:
        """Name the file's ending, with its dot."""

    def export(self, job: ExportJob, recipe: str, params: Any, path: Path) -> Quantisation | None:  # noqa: ANN401
        """Write one artifact; the same job gives the same bytes. Says how activations were quantised, if they were."""

    def load(self, path: Path, threads: int = 1) -> Predict:
        """Open an artifact in its runtime: uint8 (height, width, 3) RGB -> float32 (labels,) probabilities.

        Raises:
            ModelError: The artifact is missing, truncated or not of this format.
        """

    def trace(self, path: Path) -> Trace:
        """Open an artifact so that it shows every float tensor on the way.

        Raises:
            ModelError: As ``load``, or this form cannot show them.
        """

    def describe(self, path: Path) -> Interface:
        """Read names, sizes and labels back from the artifact itself, with the format's own reader."""

    def runtime(self) -> Runtime:
        """Say what ``load`` runs in here, and whether its timings count."""


def format_names() -> tuple[str, ...]:
    """Name the formats: the folders and files of this package."""
    return plugins.names(__name__)


def open_format(name: str) -> Format:
    """Import one format.

    Raises:
        ParamsError: There is no such format.
    """
    return cast("Format", plugins.find(__name__, name, "format"))


def format_of(path: Path) -> Format:
    """Import the format of an artifact, which lies in a folder of its name: artifacts/FORMAT/, or a bundle's.

    Raises:
        ModelError: The folder has another name.
    """
    name = path.resolve().parent.name
    if name not in format_names():
        expected = " or ".join(format_names())
        raise ModelError(f"{path}: lies in a folder named {name!r}; expected an artifact in one named {expected}")
    return open_format(name)


def tool_versions(artifact_format: Format) -> dict[str, str]:
    """Versions of the packages that write and run a format."""
    return {tool: importlib.metadata.version(tool) for tool in artifact_format.TOOLS}


def check_frame(frame: Pixels, height: int, width: int, where: Path) -> None:
    """Refuse a frame that is not the artifact's input.

    Raises:
        DataError: Another size, type or number of channels.
    """
    if frame.shape != (height, width, 3) or frame.dtype != np.uint8:
        raise DataError(
            f"{where.name}: frame of {frame.dtype} {frame.shape}; expected uint8 {(height, width, 3)}, RGB; "
            "scale it first: pipeline.data.preprocess.fit"
        )

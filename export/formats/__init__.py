"""The formats a phone can load: one folder per format, found by its name; there is no list of formats.

All formats share one contract: a model takes one frame named ``image``, uint8 (1, height, width, 3) RGB in 0..255, and
returns probabilities named ``probs``, float32 (1, labels), in the order of the labels. Normalisation is in the graph.

The ``__init__.py`` of a format's folder defines what ``Format`` lists. It may define ``EXTRAS``: what other parts of
Gossamer can use of a format, each with a default for formats that lack it (``Extras``). Nothing else names a format:
params.yaml lists those to convert to under ``convert.formats``, dvc.yaml makes a stage of each entry, and the contract
tests in tests/export/formats run over the folders.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from export.decision import Decision
from export.parity import Predict, ReferencePredictions, Trace
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
    """Section ``convert.formats.FORMAT`` of params.yaml; a format's own ``Params`` adds to it.

    Attributes:
        recipes: Recipes to export, in this order; the format restricts them to its ``RECIPES``.
    """

    recipes: tuple[str, ...]


# Compared by identity, so that a format can cache by job what the job's next recipe starts from.
@dataclass(frozen=True, slots=True, eq=False)
class ExportJob:
    """What a format converts, and how the result describes itself.

    Attributes:
        network: The classifier in eval mode, on the CPU; normalisation and softmax are part of it.
        spec: Preprocessing of the checkpoint; gives the input size.
        labels: Labels in the order of the outputs.
        calibration: Frames for static quantisation, uint8 (n, height, width, 3) RGB.
        reference: Predictions that 8-bit recipes are compared with.
        int8: How near 8-bit recipes must come to them.
        metadata: Facts to store in the file: author, license, version, description, checkpoint_id.
        report: Called with a line of progress at each step.
    """

    network: PortableClassifier
    spec: PreprocessSpec
    labels: tuple[str, ...]
    calibration: NDArray[np.uint8]
    reference: ReferencePredictions
    int8: Int8Params
    metadata: Mapping[str, str] = field(default_factory=dict)
    report: Callable[[str], None] = print


@dataclass(frozen=True, slots=True)
class Interface:
    """What an artifact's own reader reports of it; ``height`` and ``width`` in pixels.

    Attributes:
        decision: What the file states of its threshold and retake band; None if it states nothing.
    """

    input_name: str
    dtype: str
    layout: str
    height: int
    width: int
    output_name: str
    labels: tuple[str, ...]
    decision: Decision | None = None


@dataclass(frozen=True, slots=True)
class Runtime:
    """The runtime that ``load`` opens artifacts in on this machine.

    Attributes:
        name: Name of the runtime, e.g. "LiteRT".
        unmeasured: Why latency and memory on this machine do not represent the format; empty if they do.
    """

    name: str
    unmeasured: str = ""


class Format(Protocol):
    """What every format defines.

    Attributes:
        TOOLS: Distributions that write and run the format; their versions go into artifact.json.
        RECIPES: All recipes. A name that starts with ``float32`` or ``float16`` states the precision of weights and
            activations, any other name is of an 8-bit or smaller recipe.
        Params: Model of the section ``convert.formats.FORMAT`` of params.yaml.
    """

    TOOLS: tuple[str, ...]
    RECIPES: tuple[str, ...]
    Params: type[FormatParams]

    def suffix(self, recipe: str) -> str:
        """Return the file name's suffix, with its dot."""

    def export(self, job: ExportJob, recipe: str, params: Any, path: Path) -> Quantisation | None:  # noqa: ANN401
        """Write one artifact; the same job gives the same bytes on every run.

        Returns:
            How activations were quantised; None if they were not.
        """

    def load(self, path: Path, threads: int = 1) -> Predict:
        """Open an artifact in its runtime, to predict with ``threads`` threads.

        Raises:
            ModelError: The artifact is missing, truncated or not of this format.
        """

    def describe(self, path: Path) -> Interface:
        """Read names, sizes and labels back from the artifact, with the format's own reader.

        Raises:
            ModelError: As ``load``.
        """

    def runtime(self) -> Runtime:
        """Return what ``load`` runs in on this machine, and whether its latency and memory count."""


@dataclass(frozen=True, slots=True)
class Snippet:
    """Code that a mobile engineer pastes.

    Attributes:
        file: File name in the bundle's ``snippets`` folder.
        template: Source text; ``export.bundle.code_snippets`` lists what it substitutes.
    """

    file: str
    template: Template


@dataclass(frozen=True, slots=True)
class ToolkitDefaults:
    """Plain use of the format's toolkit, as a comparison for the format's own 8-bit recipes.

    Attributes:
        recipes: Recipes that the toolkit can quantise to by itself.
        export: Writes one of them as ``Format.export`` would, with the toolkit's defaults throughout.
    """

    recipes: tuple[str, ...]
    export: Callable[[ExportJob, str, Any, Path], None]


@dataclass(frozen=True, slots=True)
class Arm64Guest:
    """How the ARM lab runs the format (docs/arm64.md).

    Attributes:
        script: Module that imports NumPy, the runtime and nothing of Gossamer's, because it runs inside the lab. It
            defines ``open_model(path)``, which opens a model on one thread and returns the functions set_input(frame),
            invoke() and get_output(), and ``versions()``: distribution -> version of what it imports.
        packages: Distributions to install in the lab, in the versions of this environment.
    """

    script: Path
    packages: tuple[str, ...]


def _no_trace(path: Path) -> Trace:
    raise ModelError(f"{path}: this format does not show intermediate results; compare artifacts of another format")


@dataclass(frozen=True, slots=True)
class Extras:
    """What other parts of Gossamer can use of a format; the defaults are those of a format without ``EXTRAS``.

    Attributes:
        annotate: Replaces the metadata in a file by others, texts by name: those of ``ExportJob.metadata``, labels and
            decision (``export.decision``). Neither input nor output of the model changes, and equal metadata give equal
            bytes. Default: the format has no place for them, and ``describe`` reports no decision.
        trace: Opens an artifact so that it yields its intermediate results, for ``gossamer parity --layers``. Raises
            ModelError if it is damaged or cannot yield them. Default: no artifact of the format can.
        short_name: Shortens a tensor's name for tables. Default: names are short enough.
        snippets: Code for phones. Default: none.
        toolkit_defaults: Comparison for the experiment ``export_recipes``. Default: none.
        arm64_guest: How the ARM lab runs the format. Default: it does not.
    """

    annotate: Callable[[Path, Mapping[str, str]], None] | None = None
    trace: Callable[[Path], Trace] = _no_trace
    short_name: Callable[[str], str] = str
    snippets: tuple[Snippet, ...] = ()
    toolkit_defaults: ToolkitDefaults | None = None
    arm64_guest: Arm64Guest | None = None


def format_names() -> tuple[str, ...]:
    """List the formats: the folders of this package, in alphabetical order."""
    return plugins.names(__name__)


def open_format(name: str) -> Format:
    """Import one format.

    Raises:
        ParamsError: There is no such format.
    """
    return cast("Format", plugins.find(__name__, name, "format"))


def extras_of(artifact_format: Format) -> Extras:
    """Return the extras of a format: its ``EXTRAS``, or the defaults."""
    return getattr(artifact_format, "EXTRAS", Extras())


def format_of(path: Path) -> Format:
    """Import the format of an artifact by the folder it is in: artifacts/FORMAT/, or the same folder of a bundle.

    Raises:
        ModelError: The folder is not named as a format.
    """
    name = path.resolve().parent.name
    if name not in format_names():
        expected = " or ".join(format_names())
        raise ModelError(f"{path}: in a folder named {name!r}; expected an artifact in one named {expected}")
    return open_format(name)


def tool_versions(artifact_format: Format) -> dict[str, str]:
    """Versions of the distributions that write and run a format."""
    return {tool: importlib.metadata.version(tool) for tool in artifact_format.TOOLS}


def check_frame(frame: Pixels, height: int, width: int, where: Path) -> None:
    """Refuse a frame that is not the artifact's input.

    Raises:
        DataError: It has another size, dtype or number of channels.
    """
    if frame.shape != (height, width, 3) or frame.dtype != np.uint8:
        raise DataError(
            f"{where.name}: frame of {frame.dtype} {frame.shape}; expected uint8 {(height, width, 3)}, RGB; "
            "scale it first: pipeline.data.preprocess.fit"
        )

"""ExecuTorch, run by its XNNPACK backend.

Recipes: ``float32``; ``static_wi8_ai8``, 8-bit weights and activations. There is no recipe with activations rounded at
run time: XNNPACK refuses the convolutions of such programs.

Reads an ``ExportJob``; writes one .pte file. The file format has no names of inputs and outputs and no metadata, so
both are constant methods of the program, which is ExecuTorch's convention for such facts. All return strings:
``labels`` and ``retake_band`` JSON lists (or null), ``threshold`` a number, ``input_name``, ``output_name``,
``author``, ``license``, ``version``, ``description`` and ``checkpoint_id`` plain text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from export.decision import LABELS, RETAKE_BAND, THRESHOLD, read_decision
from export.formats import (
    INPUT,
    OUTPUT,
    ExportJob,
    Extras,
    FormatParams,
    Interface,
    Runtime,
    ToolkitDefaults,
    check_frame,
)
from export.formats.executorch import kotlin_snippet, swift_snippet
from export.formats.executorch.runtime import SCALAR_TYPES, Classifier, open_program, read_content, run_constant
from export.parity import Predict
from export.quantisation.int8_search import search
from export.toolkit_output import quiet_toolkits
from pipeline.data.preprocess import Pixels
from pipeline.data.records import Quantisation

if TYPE_CHECKING:
    from torch import fx

TOOLS = ("torch", "torchao", "executorch")
Recipe = Literal["float32", "static_wi8_ai8"]
RECIPES: tuple[str, ...] = get_args(Recipe)
_NAMES = {"input_name": INPUT, "output_name": OUTPUT}


class Params(FormatParams):
    """Section ``convert.formats.executorch`` of params.yaml."""

    recipes: Annotated[tuple[Recipe, ...], Field(min_length=1)]


def suffix(recipe: str) -> str:  # noqa: ARG001 - all recipes share it
    """Return the file name's suffix."""
    return ".pte"


def export(job: ExportJob, recipe: str, params: Params, path: Path) -> Quantisation | None:  # noqa: ARG001
    """Write ``path``; deterministic."""
    quantisation = None
    with quiet_toolkits():
        network = _capture(job)
    if recipe == "static_wi8_ai8":
        from export.formats.executorch.quantiser import open_quantiser

        open_own = partial(open_quantiser, network, job.calibration)
        network, quantisation = search(open_own, job.reference, job.int8, job.report)
    _write(network, job, path)
    return quantisation


def load(path: Path, threads: int = 1) -> Predict:
    """Open the program in ExecuTorch's runtime."""
    classifier = Classifier(path, threads)

    def predict(frame: Pixels) -> NDArray[np.float32]:
        check_frame(frame, classifier.height, classifier.width, path)
        return classifier.predict(frame)

    return predict


def describe(path: Path) -> Interface:
    """Read the shape of the input, and the names that constant methods return."""
    program = open_program(path, read_content(path))
    frame: Any = program.metadata("forward").input_tensor_meta(0)
    _, height, width, _ = frame.sizes()
    constant = partial(run_constant, path, program)
    decision = {name: constant(name) for name in (THRESHOLD, RETAKE_BAND) if name in program.method_names}
    return Interface(
        input_name=constant("input_name"),
        dtype=SCALAR_TYPES.get(frame.dtype(), f"scalar type {frame.dtype()}"),
        layout="NHWC",
        height=height,
        width=width,
        output_name=constant("output_name"),
        labels=tuple(json.loads(constant(LABELS))),
        decision=read_decision(decision, path),
    )


def annotate(path: Path, metadata: Mapping[str, str]) -> None:
    """Replace the constant methods, except the names of input and output."""
    from export.formats.executorch.lowering import replace_constants

    with quiet_toolkits():
        path.write_bytes(replace_constants(path.read_bytes(), {**_NAMES, **metadata}))


def runtime() -> Runtime:
    """ExecuTorch with XNNPACK is the same on every machine.

    Its Python binding loads torch, some 300 MB that a phone does not need: peak memory includes them.
    """
    return Runtime("ExecuTorch with XNNPACK")


def export_with_toolkit_defaults(job: ExportJob, recipe: str, params: Params, path: Path) -> None:  # noqa: ARG001
    """Quantise with the defaults of XNNPACKQuantizer, as a comparison for ``static_wi8_ai8``."""
    from export.formats.executorch.quantiser import quantise_by_default

    with quiet_toolkits():
        network = quantise_by_default(_capture(job), job.calibration)
    _write(network, job, path)


EXTRAS = Extras(
    annotate=annotate,
    snippets=(kotlin_snippet.SNIPPET, swift_snippet.SNIPPET),
    toolkit_defaults=ToolkitDefaults(("static_wi8_ai8",), export_with_toolkit_defaults),
)


@lru_cache(maxsize=1)
def _capture(job: ExportJob) -> fx.GraphModule:
    """Capture the network; cached, because every recipe of a job starts from it."""
    from export.formats.executorch.lowering import capture

    return capture(job.network, job.spec.input_size).module()


def _write(network: fx.GraphModule, job: ExportJob, path: Path) -> None:
    """Lower a network and write it with its labels, names and metadata."""
    from export.formats.executorch.lowering import capture, lower

    with quiet_toolkits():
        program = capture(network, job.spec.input_size)
        path.write_bytes(lower(program, {LABELS: json.dumps(job.labels), **_NAMES, **job.metadata}))

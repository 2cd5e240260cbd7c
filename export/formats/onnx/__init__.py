"""ONNX, run by ONNX Runtime.

Recipes: ``float32``; ``float16``, computed in halves; ``static_wi8_ai8``, 8-bit weights and activations as a QDQ graph;
``float32_ort`` and ``static_wi8_ai8_ort``, the same models in the file format of ONNX Runtime Mobile's small builds.

Reads an ``ExportJob``; writes one .onnx or .ort file without paths, stack traces or external data.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from export.decision import DESCRIPTION, LABELS, read_decision
from export.formats import (
    INPUT,
    OUTPUT,
    Arm64Guest,
    ExportJob,
    Extras,
    FormatParams,
    Interface,
    Runtime,
    ToolkitDefaults,
    check_frame,
)
from export.formats.onnx.ort_format import replace_metadata, sort_kernels
from export.formats.onnx.quantiser import (
    float_nodes,
    open_quantiser,
    open_session,
    open_trace,
    quantise_by_default,
)
from export.parity import Predict, Trace
from export.quantisation.int8_search import search
from export.toolkit_output import quiet_toolkits
from pipeline.data.preprocess import Pixels
from pipeline.data.records import Quantisation
from pipeline.errors import ModelError

TOOLS = ("torch", "onnx", "onnxscript", "onnxruntime")
Recipe = Literal["float32", "float16", "static_wi8_ai8", "float32_ort", "static_wi8_ai8_ort"]
RECIPES: tuple[str, ...] = get_args(Recipe)
_ORT = "_ort"


class Params(FormatParams):
    """Section ``convert.formats.onnx`` of params.yaml.

    Attributes:
        opset: Version of the ONNX operator set.
    """

    recipes: Annotated[tuple[Recipe, ...], Field(min_length=1)]
    opset: Literal[18, 20, 21, 23] = 18


def suffix(recipe: str) -> str:
    """Return the file name's suffix, by which runtimes distinguish the two file formats."""
    return ".ort" if recipe.endswith(_ORT) else ".onnx"


def export(job: ExportJob, recipe: str, params: Params, path: Path) -> Quantisation | None:
    """Write ``path``; deterministic."""
    quantisation = None
    with quiet_toolkits():
        model = _convert(job, params.opset)
        if recipe == "float16":
            model = _halve(model, job)
    if recipe.startswith("static_wi8_ai8"):
        model, quantisation = _quantise(job, params.opset)
    path.write_bytes(_optimise_for_mobile(model) if recipe.endswith(_ORT) else model)
    return quantisation


def load(path: Path, threads: int = 1) -> Predict:
    """Open the model in ONNX Runtime on the CPU."""
    session = _session(path, threads)
    with _damage_is_a_model_error(path):
        height, width = session.get_inputs()[0].shape[1:3]

    def predict(frame: Pixels) -> NDArray[np.float32]:
        check_frame(frame, height, width, path)
        with _damage_is_a_model_error(path):
            return np.asarray(session.run([OUTPUT], {INPUT: frame[None]})[0][0], np.float32)

    return predict


def describe(path: Path) -> Interface:
    """Read the input, output and metadata of the graph."""
    session = _session(path, 1)
    with _damage_is_a_model_error(path):
        frame, probabilities = session.get_inputs()[0], session.get_outputs()[0]
        metadata = session.get_modelmeta().custom_metadata_map
        _, height, width, _ = frame.shape
        return Interface(
            input_name=frame.name,
            dtype=str(frame.type).removeprefix("tensor(").removesuffix(")"),
            layout="NHWC",
            height=height,
            width=width,
            output_name=probabilities.name,
            labels=_labels(metadata, path),
            decision=read_decision(metadata, path),
        )


def annotate(path: Path, metadata: Mapping[str, str]) -> None:
    """Replace the metadata of the graph, whose description is its doc string, too."""
    content = path.read_bytes()
    if path.suffix == suffix(_ORT):
        path.write_bytes(replace_metadata(content, metadata))
        return
    import onnx

    model = onnx.load_model_from_string(content)
    _set_metadata(model, metadata)
    path.write_bytes(model.SerializeToString(deterministic=True))


def runtime() -> Runtime:
    """ONNX Runtime is the same on every machine."""
    return Runtime("ONNX Runtime")


def trace(path: Path) -> Trace:
    """Open the model so that it yields its intermediate results."""
    _session(path, 1)
    if path.suffix == suffix(_ORT):
        raise ModelError(f"{path}: an .ort file has no intermediate results; compare the .onnx file beside it")
    return open_trace(path.read_bytes())


def export_with_toolkit_defaults(job: ExportJob, recipe: str, params: Params, path: Path) -> None:  # noqa: ARG001
    """Quantise with ONNX Runtime's defaults, as a comparison for ``static_wi8_ai8``."""
    with quiet_toolkits():
        path.write_bytes(quantise_by_default(_convert(job, params.opset), job.calibration))


EXTRAS = Extras(
    annotate=annotate,
    trace=trace,
    toolkit_defaults=ToolkitDefaults(("static_wi8_ai8",), export_with_toolkit_defaults),
    arm64_guest=Arm64Guest(Path(__file__).with_name("arm64_guest.py"), ("onnxruntime",)),
)


@lru_cache(maxsize=1)
def _convert(job: ExportJob, opset: int) -> bytes:
    """Convert to a float32 graph; cached, because every recipe of a job starts from it."""
    import torch

    height, width = job.spec.input_size
    frame = torch.zeros(1, height, width, 3, dtype=torch.uint8)
    program = torch.onnx.export(
        job.network,
        (frame,),
        dynamo=True,
        input_names=[INPUT],
        output_names=[OUTPUT],
        opset_version=opset,
        external_data=False,
        verbose=False,
    )
    if program is None:
        raise ModelError("torch.onnx.export gave no program; expected one; another opset may help: convert.onnx.opset")
    return _serialise(program.model_proto, job)


@lru_cache(maxsize=1)
def _quantise(job: ExportJob, opset: int) -> tuple[bytes, Quantisation]:
    """Search for an 8-bit graph; cached, because both file formats hold the same one."""
    import onnx

    open_own = partial(open_quantiser, _convert(job, opset), job.calibration)
    quantised, quantisation = search(open_own, job.reference, job.int8, job.report)
    return _serialise(onnx.load_from_string(quantised), job), quantisation


def _optimise_for_mobile(model: bytes) -> bytes:
    """Optimise a graph ahead of time and convert it to ONNX Runtime Mobile's file format.

    The result runs on any CPU; 8-bit optimisations are those for ARM
    (https://onnxruntime.ai/docs/performance/model-optimizations/ort-format-models.html).
    """
    import onnxruntime

    with tempfile.TemporaryDirectory() as scratch:
        optimised = Path(scratch) / "model.ort"
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.optimized_model_filepath = str(optimised)
        options.add_session_config_entry("session.save_model_format", "ORT")
        options.add_session_config_entry("session.qdqisint8allowed", "1")
        # That optimiser chooses a memory layout for the processor of this machine.
        onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"], disabled_optimizers=["NchwcTransformer"]
        )
        return sort_kernels(optimised.read_bytes())


def _serialise(model: Any, job: ExportJob) -> bytes:  # noqa: ANN401 - onnx has no types
    """Serialise a model without the exporter's notes, which contain paths of this machine; add labels and metadata."""
    import onnx

    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.doc_string = ""
        del part.metadata_props[:]
    # Stale intermediate shapes break later passes, so they are inferred again.
    del graph.value_info[:]
    model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    model.producer_name, model.producer_version = "gossamer", ""
    _set_metadata(model, {LABELS: json.dumps(job.labels), **job.metadata})
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _set_metadata(model: Any, metadata: Mapping[str, str]) -> None:  # noqa: ANN401 - onnx has no types
    import onnx

    del model.metadata_props[:]
    onnx.helper.set_model_props(model, dict(sorted(metadata.items())))
    model.doc_string = metadata.get(DESCRIPTION, "")


def _labels(metadata: Mapping[str, str], path: Path) -> tuple[str, ...]:
    try:
        labels = json.loads(metadata.get(LABELS, "[]"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: its own metadata have no list of labels; run dvc repro convert@onnx") from error
    return tuple(map(str, labels)) if isinstance(labels, list) else ()


def _halve(model: bytes, job: ExportJob) -> bytes:
    """Compute in halves, except normalisation and softmax; probabilities stay float32."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    plain = onnx.load_from_string(model)
    halved = OnnxModel(convert_float_to_float16(plain, keep_io_types=True, node_block_list=float_nodes(plain.graph)))
    halved.topological_sort()  # the converter appends its casts at the end
    return _serialise(halved.model, job)


def _session(path: Path, threads: int) -> Any:  # noqa: ANN401 - onnxruntime has no types
    if not path.is_file():
        raise ModelError(f"{path}: missing; expected an ONNX model; run dvc repro convert@onnx")
    with _damage_is_a_model_error(path):
        return open_session(path.read_bytes(), threads)


@contextmanager
def _damage_is_a_model_error(path: Path) -> Iterator[None]:
    """Turn what ONNX Runtime raises on a damaged model, when it is opened or only when it runs, into one error."""
    from onnxruntime.capi import onnxruntime_pybind11_state as status

    broken = (status.Fail, status.InvalidProtobuf, status.InvalidGraph, status.InvalidArgument, status.NoModel)
    other = (status.NotImplemented, status.RuntimeException, IndexError, ValueError)
    try:
        yield
    except (*broken, *other) as error:
        raise ModelError(f"{path}: not a whole ONNX model: {error}; run dvc repro convert@onnx") from error

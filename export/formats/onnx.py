"""ONNX, run by ONNX Runtime: ``float32``, ``float16``, and ``static_wi8_ai8`` as a QDQ graph.

Reads an ``ExportJob``; writes one .onnx file without paths, stack traces or external data.
8-bit weights use seven bits (``reduce_range``): CPUs without VNNI saturate on the full range, and so decide differently
from the phone (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from export.calibration import merge_ranges
from export.formats import INPUT, OUTPUT, ExportJob, FormatParams, Interface, Predict, Runtime, check_frame
from export.quiet import quiet_toolkits
from pipeline.errors import ModelError
from pipeline.preprocess import Pixels

SUFFIX = ".onnx"
TOOLS = ("torch", "onnx", "onnxscript", "onnxruntime")


class Params(FormatParams):
    """The section ``convert.onnx``; ``calibration_percentile`` of the frames lie inside the 8-bit range whole."""

    recipes: Annotated[tuple[Literal["float32", "float16", "static_wi8_ai8"], ...], Field(min_length=1)]
    opset: Literal[18, 20, 21, 23] = 18
    calibration_percentile: Annotated[float, Field(gt=50, le=100)] = 95.0


def export(job: ExportJob, recipe: str, params: Params, path: Path) -> None:
    """Write ``path``; deterministic, and every intermediate file is gone afterwards."""
    with quiet_toolkits(), tempfile.TemporaryDirectory() as scratch:
        model = _convert(job, params.opset)
        if recipe == "float32":
            path.write_bytes(model)
            return
        if recipe == "float16":
            path.write_bytes(_halve(model, job))
            return
        plain, quantised = Path(scratch) / "float32.onnx", Path(scratch) / "quantised.onnx"
        plain.write_bytes(model)
        _quantise(plain, quantised, job.calibration, params.calibration_percentile)
        import onnx

        path.write_bytes(_serialise(onnx.load(quantised), job))


def load(path: Path, threads: int = 1) -> Predict:
    """Open the model in ONNX Runtime on the CPU."""
    session = _session(path, threads)
    height, width = session.get_inputs()[0].shape[1:3]

    def predict(frame: Pixels) -> NDArray[np.float32]:
        check_frame(frame, height, width, path)
        return np.asarray(session.run([OUTPUT], {INPUT: frame[None]})[0][0], np.float32)

    return predict


def describe(path: Path) -> Interface:
    """Read the graph's own input, output and metadata."""
    session = _session(path, 1)
    frame, probabilities = session.get_inputs()[0], session.get_outputs()[0]
    metadata = session.get_modelmeta().custom_metadata_map
    return Interface(
        input_name=frame.name,
        dtype=str(frame.type).removeprefix("tensor(").removesuffix(")"),
        layout="NHWC",
        height=frame.shape[1],
        width=frame.shape[2],
        output_name=probabilities.name,
        labels=tuple(json.loads(metadata.get("labels", "[]"))),
    )


def runtime() -> Runtime:
    """ONNX Runtime runs everywhere."""
    return Runtime("ONNX Runtime")


@lru_cache(maxsize=1)
def _convert(job: ExportJob, opset: int) -> bytes:
    """Trace to a float32 graph; kept, because the quantised recipe starts from it."""
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


def _serialise(model: Any, job: ExportJob) -> bytes:  # noqa: ANN401 - onnx has no types
    """Turn a model into bytes without the exporter's notes: they hold this machine's paths and make files differ."""
    import onnx

    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.doc_string = ""
        del part.metadata_props[:]
    # Stale intermediate shapes break later passes; they are inferred anew.
    del graph.value_info[:]
    model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    onnx.helper.set_model_props(model, {"labels": json.dumps(job.labels), **job.metadata})
    model.producer_name, model.producer_version = "gossamer", ""
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _halve(model: bytes, job: ExportJob) -> bytes:
    """Compute in halves, all but the normalisation and the softmax; probabilities stay float32."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    plain = onnx.load_from_string(model)
    halved = OnnxModel(convert_float_to_float16(plain, keep_io_types=True, node_block_list=_float_nodes(plain.graph)))
    halved.topological_sort()  # the converter puts its casts last
    return _serialise(halved.model, job)


def _quantise(plain: Path, quantised: Path, calibration: NDArray[np.uint8], percentile: float) -> None:
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = plain.with_name("prepared.onnx")
    quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
    model = onnx.load(prepared)
    quantization.quantize_static(
        str(prepared),
        str(quantised),
        # The ranges come from us; the calibrator's own, of every tensor at once, would only take time.
        _reader(calibration[:1]),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        reduce_range=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        nodes_to_exclude=_float_nodes(model.graph),
        extra_options={"TensorQuantOverrides": _ranges(model, calibration, percentile)},
    )


def _ranges(model: Any, calibration: NDArray[np.uint8], percentile: float) -> dict[str, list[dict[str, np.float32]]]:  # noqa: ANN401
    """Range of every float activation; before the first convolution it is what a black and a white frame give."""
    import onnx

    inferred = onnx.shape_inference.infer_shapes(model).graph
    floats = {info.name: info for info in inferred.value_info if info.type.tensor_type.elem_type == 1}
    normalisation = set(_float_nodes(inferred))
    nodes = [(node.name in normalisation, name) for node in inferred.node for name in node.output if name in floats]
    names = [name for _, name in nodes]
    probe = onnx.ModelProto.FromString(model.SerializeToString())
    probe.graph.output.extend(floats[name] for name in names)
    low, high = merge_ranges(*_extremes(probe.SerializeToString(), names, calibration), percentile)
    ends = np.stack([np.full_like(calibration[0], level) for level in (0, 255)])
    ends_low, ends_high = _extremes(probe.SerializeToString(), names, ends)
    pixels = np.array([early for early, _ in nodes])
    low, high = np.where(pixels, ends_low.min(axis=0), low), np.where(pixels, ends_high.max(axis=0), high)
    return {name: [{"rmin": np.float32(low[i]), "rmax": np.float32(high[i])}] for i, name in enumerate(names)}


def _extremes(
    model: bytes, names: list[str], frames: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least and greatest value of the named tensors on every frame, each (frames, tensors)."""
    session = _open(model, 1)
    lows, highs = [], []
    for frame in frames:
        values = session.run(names, {INPUT: frame[None]})
        lows.append([float(value.min()) for value in values])
        highs.append([float(value.max()) for value in values])
    return np.array(lows), np.array(highs)


def _float_nodes(graph: Any) -> list[str]:  # noqa: ANN401 - onnx has no types
    """Name what stays float: the normalisation, of which 8 bits would cost a bit of every pixel, and the softmax."""
    first = next(index for index, node in enumerate(graph.node) if node.op_type == "Conv")
    return [node.name for index, node in enumerate(graph.node) if index < first or node.op_type == "Softmax"]


def _reader(calibration: NDArray[np.uint8]) -> Any:  # noqa: ANN401 - onnxruntime has no types
    from onnxruntime.quantization import CalibrationDataReader

    class Frames(CalibrationDataReader):  # type: ignore[misc]
        """Hands one frame after the other to the calibrator."""

        def __init__(self) -> None:
            self.frames: Iterator[NDArray[np.uint8]] = iter(calibration)

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            frame = next(self.frames, None)
            return None if frame is None else {INPUT: frame[None]}

    return Frames()


def _session(path: Path, threads: int) -> Any:  # noqa: ANN401 - onnxruntime has no types
    from onnxruntime.capi import onnxruntime_pybind11_state as status

    if not path.is_file():
        raise ModelError(f"{path}: missing; expected an ONNX model; run dvc repro convert@onnx")
    broken = (status.Fail, status.InvalidProtobuf, status.InvalidGraph, status.InvalidArgument, status.NoModel)
    try:
        return _open(path.read_bytes(), threads)
    except (*broken, status.NotImplemented, status.RuntimeException) as error:
        raise ModelError(f"{path}: not a whole ONNX model: {error}; run dvc repro convert@onnx") from error


def _open(model: bytes, threads: int) -> Any:  # noqa: ANN401 - onnxruntime has no types
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

"""Static quantisation by ONNX Runtime to a QDQ graph: 8-bit activations, and 8-bit weights with one scale per channel.

Weights use seven of the bits (``reduce_range``), because CPUs without VNNI saturate on the full range and would decide
differently from the phone (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html). Serialised
graphs in, serialised graphs out.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.formats import INPUT, OUTPUT
from export.parity import PredictFrames, Trace, one_by_one
from export.quantisation.calibration import Range, Ranges, range_of_pixels, take_ranges
from export.quantisation.int8_search import Scheme
from pipeline.data.preprocess import Pixels

_KINDS = ("Conv", "Gemm", "MatMul", "Add", "Mul")


@dataclass(frozen=True, slots=True)
class OnnxQuantiser:
    """Static quantiser of one float32 graph (``export.quantisation.int8_search.Quantiser``).

    Attributes:
        prepared: The graph after ONNX Runtime's preprocessing for quantisation; every node has a name.
        ranges: Ranges of the activations on the calibration frames.
        pixels: Exact ranges of the tensors before the first convolution.
    """

    prepared: bytes
    ranges: Ranges
    pixels: Mapping[str, Range]

    @property
    def ops(self) -> Sequence[str]:
        """Names of convolutions, products and sums that are not part of the normalisation."""
        graph = _read(self.prepared).graph
        in_float = set(float_nodes(graph))
        return [node.name for node in graph.node if node.op_type in _KINDS and node.name not in in_float]

    def quantise(self, scheme: Scheme) -> bytes:
        """Quantise all nodes except normalisation, softmax and ``scheme.float_ops``."""
        in_float = [*float_nodes(_read(self.prepared).graph), *scheme.float_ops]
        return self._quantise(scheme.percentile, nodes_to_exclude=in_float)

    def isolate(self, op: str, percentile: float) -> PredictFrames:
        """Open a graph in which only ``op`` has 8 bits."""
        return self.open(self._quantise(percentile, nodes_to_quantize=[op]))

    def open(self, model: bytes) -> PredictFrames:
        """Open a graph in ONNX Runtime on the CPU."""
        session = open_session(model, 1)

        def predict(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
            return np.asarray(session.run([OUTPUT], {INPUT: frame[None]})[0][0], np.float32)

        return one_by_one(predict)

    def _quantise(self, percentile: float, **nodes: list[str]) -> bytes:
        from onnxruntime import quantization

        with tempfile.TemporaryDirectory() as scratch:
            plain, quantised = Path(scratch) / "float32.onnx", Path(scratch) / "quantised.onnx"
            plain.write_bytes(self.prepared)
            quantization.quantize_static(
                str(plain),
                str(quantised),
                # The ranges are overridden below, so one frame is enough for the toolkit's own calibration.
                _Frames(np.zeros((1, *_input_size(self.prepared), 3), np.uint8)),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                reduce_range=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                extra_options={"TensorQuantOverrides": self._ranges(percentile)},
                **nodes,
            )
            return quantised.read_bytes()

    def _ranges(self, percentile: float) -> dict[str, list[dict[str, np.float32]]]:
        ranges = {**self.ranges.merge(percentile), **self.pixels}
        return {name: [{"rmin": np.float32(low), "rmax": np.float32(high)}] for name, (low, high) in ranges.items()}


def open_quantiser(model: bytes, calibration: NDArray[np.uint8]) -> OnnxQuantiser:
    """Calibrate a float32 graph on frames, uint8 (n, height, width, 3) RGB."""
    prepared = _prepare(model)
    graph = _read(prepared).graph
    early = set(float_nodes(graph))
    written = {name for node in graph.node if node.name in early for name in node.output}
    trace = open_trace(prepared)
    pixels = {name: ends for name, ends in range_of_pixels(trace, calibration[0]).items() if name in written}
    return OnnxQuantiser(prepared, take_ranges(trace, calibration), pixels)


def quantise_by_default(model: bytes, calibration: NDArray[np.uint8]) -> bytes:
    """Quantise with ``quantize_static`` and its defaults: min-max ranges, signed 8 bits, one scale per tensor.

    Args:
        model: A serialised float32 graph.
        calibration: Frames, uint8 (n, height, width, 3) RGB.
    """
    from onnxruntime.quantization import quantize_static

    with tempfile.TemporaryDirectory() as scratch:
        plain, quantised = Path(scratch) / "float32.onnx", Path(scratch) / "quantised.onnx"
        plain.write_bytes(model)
        quantize_static(str(plain), str(quantised), _Frames(calibration))
        return quantised.read_bytes()


def open_trace(model: bytes) -> Trace:
    """Open a graph so that it yields every float tensor that its nodes write; one rounded to 8 bits, after rounding."""
    import onnx

    probe = onnx.shape_inference.infer_shapes(_read(model))
    floats = {info.name: info for info in probe.graph.value_info if info.type.tensor_type.elem_type == 1}
    taken = {node.output[0]: node.input[0] for node in probe.graph.node if node.op_type == "QuantizeLinear"}
    rounded = {
        taken[node.input[0]]: node.output[0]
        for node in probe.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in taken
    }
    written = [name for node in probe.graph.node for name in node.output]
    names = [name for name in written if name in floats and name not in rounded.values()]
    shown = [rounded.get(name, name) for name in names]
    probe.graph.output.extend(floats[name] for name in shown)
    session = open_session(probe.SerializeToString(), 1)

    def trace(frame: Pixels) -> Iterable[tuple[str, NDArray[np.float32]]]:
        return zip(names, session.run(shown, {INPUT: frame[None]}), strict=True)

    return trace


def open_session(model: bytes, threads: int) -> Any:  # noqa: ANN401 - onnxruntime has no types
    """Open a graph in ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def float_nodes(graph: Any) -> list[str]:  # noqa: ANN401 - onnx has no types
    """List the nodes that always stay in float: the normalisation, where 8 bits would lose precision, and softmax."""
    first = next(index for index, node in enumerate(graph.node) if node.op_type == "Conv")
    return [node.name for index, node in enumerate(graph.node) if index < first or node.op_type == "Softmax"]


class _Frames:
    """Frames as a calibration data reader of ONNX Runtime's."""

    def __init__(self, frames: NDArray[np.uint8]) -> None:
        self._frames = iter(frames)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """Return the next frame as the graph's input; None at the end."""
        frame = next(self._frames, None)
        return None if frame is None else {INPUT: frame[None]}


def _prepare(model: bytes) -> bytes:
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as scratch:
        plain, prepared = Path(scratch) / "float32.onnx", Path(scratch) / "prepared.onnx"
        plain.write_bytes(model)
        quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
        named = _read(prepared.read_bytes())
    # A node without a name could not be excluded.
    for index, node in enumerate(named.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"
    return bytes(named.SerializeToString())


def _input_size(model: bytes) -> tuple[int, int]:
    _, height, width, _ = (side.dim_value for side in _read(model).graph.input[0].type.tensor_type.shape.dim)
    return height, width


def _read(model: bytes) -> Any:  # noqa: ANN401 - onnx has no types
    import onnx

    return onnx.load_from_string(model)

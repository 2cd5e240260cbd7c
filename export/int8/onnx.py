"""ONNX Runtime's static quantiser, as a QDQ graph: 8-bit activations, and 8-bit weights with a scale a channel.

Weights use seven bits (``reduce_range``): CPUs without VNNI saturate on the full range, and so decide differently from
the phone (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.calibration import merge_ranges
from export.formats import INPUT, OUTPUT
from export.int8.search import Scheme
from export.parity import Predict

_KINDS = ("Conv", "Gemm", "MatMul", "Add", "Mul")
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class OnnxQuantiser:
    """Quantises one float32 graph.

    Attributes:
        prepared: The graph after ONNX Runtime's own preparation, every node named.
        names: Float tensors that nodes write.
        low: Their least value, (frames, tensors).
        high: Their greatest value, (frames, tensors).
        pixels: Which of them come before the first convolution, (tensors,).
        ends: Range of every tensor on a black and a white frame, (2, tensors).
    """

    prepared: bytes
    names: tuple[str, ...]
    low: Floats
    high: Floats
    pixels: NDArray[np.bool_]
    ends: Floats

    @property
    def ops(self) -> Sequence[str]:
        """Convolutions, products and sums that are not part of the normalisation."""
        graph = _read(self.prepared).graph
        kept = set(float_nodes(graph))
        return [node.name for node in graph.node if node.op_type in _KINDS and node.name not in kept]

    def quantise(self, scheme: Scheme) -> bytes:
        """Quantise all but the normalisation, the softmax and some ops."""
        kept = [*float_nodes(_read(self.prepared).graph), *scheme.float_ops]
        return self._quantise(scheme.percentile, nodes_to_exclude=kept)

    def isolate(self, op: str, percentile: float) -> Predict:
        """Open a graph in which ``op`` alone has 8 bits."""
        return self.open(self._quantise(percentile, nodes_to_quantize=[op]))

    def open(self, model: bytes) -> Predict:
        """Run a graph on the CPU."""
        session = open_session(model, 1)

        def predict(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
            return np.asarray(session.run([OUTPUT], {INPUT: frame[None]})[0][0], np.float32)

        return predict

    def _quantise(self, percentile: float, **nodes: list[str]) -> bytes:
        from onnxruntime import quantization

        with tempfile.TemporaryDirectory() as scratch:
            plain, quantised = Path(scratch) / "float32.onnx", Path(scratch) / "quantised.onnx"
            plain.write_bytes(self.prepared)
            quantization.quantize_static(
                str(plain),
                str(quantised),
                # The ranges come from us; the calibrator's own, of every tensor at once, would only take time.
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
        """Range of every float activation; before the first convolution it is what a black and a white frame give.

        A range taken from calibration frames would clip the pixels of brighter ones.
        """
        low, high = merge_ranges(self.low, self.high, percentile)
        low, high = np.where(self.pixels, self.ends[0], low), np.where(self.pixels, self.ends[1], high)
        ranges = zip(self.names, low.astype(np.float32), high.astype(np.float32), strict=True)
        return {name: [{"rmin": least, "rmax": greatest}] for name, least, greatest in ranges}


def open_quantiser(model: bytes, calibration: NDArray[np.uint8]) -> OnnxQuantiser:
    """Prepare a float32 graph and run calibration frames, uint8 (n, height, width, 3) RGB, through it."""
    import onnx

    prepared = _prepare(model)
    inferred = onnx.shape_inference.infer_shapes(_read(prepared)).graph
    floats = {info.name: info for info in inferred.value_info if info.type.tensor_type.elem_type == 1}
    early = set(float_nodes(inferred))
    nodes = [(node.name in early, name) for node in inferred.node for name in node.output if name in floats]
    names = tuple(name for _, name in nodes)
    probe = _read(prepared)
    probe.graph.output.extend(floats[name] for name in names)
    session = open_session(probe.SerializeToString(), 1)
    low, high = _extremes(session, names, calibration)
    ends_low, ends_high = _extremes(session, names, [np.full_like(calibration[0], level) for level in (0, 255)])
    ends = np.stack([ends_low.min(axis=0), ends_high.max(axis=0)])
    return OnnxQuantiser(prepared, names, low, high, np.array([each for each, _ in nodes]), ends)


def open_session(model: bytes, threads: int) -> Any:  # noqa: ANN401 - onnxruntime has no types
    """Open a graph in ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def float_nodes(graph: Any) -> list[str]:  # noqa: ANN401 - onnx has no types
    """Name what stays float: the normalisation, of which 8 bits would cost a bit of every pixel, and the softmax."""
    first = next(index for index, node in enumerate(graph.node) if node.op_type == "Conv")
    return [node.name for index, node in enumerate(graph.node) if index < first or node.op_type == "Softmax"]


class _Frames:
    """Hands one frame after the other to the calibrator."""

    def __init__(self, frames: NDArray[np.uint8]) -> None:
        self._frames = iter(frames)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """Give the next frame as the graph's input; None at the end."""
        frame = next(self._frames, None)
        return None if frame is None else {INPUT: frame[None]}


def _prepare(model: bytes) -> bytes:
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as scratch:
        plain, prepared = Path(scratch) / "float32.onnx", Path(scratch) / "prepared.onnx"
        plain.write_bytes(model)
        quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
        ready = _read(prepared.read_bytes())
    # An op without a name could be neither left out nor told apart.
    for index, node in enumerate(ready.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"
    return bytes(ready.SerializeToString())


def _extremes(session: Any, names: Sequence[str], frames: Any) -> tuple[Floats, Floats]:  # noqa: ANN401
    """Least and greatest value of the named tensors on every frame, each (frames, tensors)."""
    lows, highs = [], []
    for frame in frames:
        values = session.run(list(names), {INPUT: frame[None]})
        lows.append([float(value.min()) for value in values])
        highs.append([float(value.max()) for value in values])
    return np.array(lows), np.array(highs)


def _input_size(model: bytes) -> tuple[int, int]:
    _, height, width, _ = (side.dim_value for side in _read(model).graph.input[0].type.tensor_type.shape.dim)
    return height, width


def _read(model: bytes) -> Any:  # noqa: ANN401 - onnx has no types
    import onnx

    return onnx.load_from_string(model)

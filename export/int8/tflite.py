"""AI Edge Quantizer's static recipe: 8-bit activations, and 8-bit weights with a scale a channel.

Hard-swish and softmax stay float: an 8-bit hard-swish halves MobileNetV3's speed in XNNPACK, which then runs the graph
in pieces, and 8-bit probabilities are too coarse to set a threshold on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.calibration import merge_ranges
from export.formats import INPUT, OUTPUT
from export.int8.dead_channels import revive_dead_channels
from export.int8.search import Scheme
from export.parity import Predict
from pipeline.preprocess import Pixels

_KINDS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "MUL")
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TfliteQuantiser:
    """Quantises one float32 flatbuffer.

    Attributes:
        model: The flatbuffer.
        outputs: Operator, e.g. "CONV_2D 3" -> the tensor it writes; of those that can stay in float.
        names: Float tensors that operators write.
        low: Their least value, (frames, tensors).
        high: Their greatest value, (frames, tensors).
        ends: Range of those before the first convolution on a black and a white frame, (2, so many).
    """

    model: bytes
    outputs: Mapping[str, str]
    names: tuple[str, ...]
    low: Floats
    high: Floats
    ends: Floats

    @property
    def ops(self) -> Sequence[str]:
        """Convolutions, products and sums, by kind and place among the operators."""
        return tuple(self.outputs)

    def quantise(self, scheme: Scheme) -> bytes:
        """Quantise all but hard-swish, softmax and some ops."""
        return self._quantise(scheme.percentile, ".*", [self.outputs[op] for op in scheme.float_ops])

    def isolate(self, op: str, percentile: float) -> Predict:
        """Open a flatbuffer in which ``op`` alone has 8 bits."""
        return self.open(self._quantise(percentile, _exactly(self.outputs[op]), ()))

    def open(self, model: bytes) -> Predict:
        """Run a flatbuffer on the CPU."""
        interpreter = _interpret(model, keep_all=False)
        runner = interpreter.get_signature_runner()
        frame_index = runner.get_input_details()[INPUT]["index"]
        output_index = runner.get_output_details()[OUTPUT]["index"]

        def predict(frame: Pixels) -> NDArray[np.float32]:
            interpreter.set_tensor(frame_index, frame[None])
            interpreter.invoke()
            return np.asarray(interpreter.get_tensor(output_index)[0], np.float32)

        return predict

    def _quantise(self, percentile: float, where: str, floats: Iterable[str]) -> bytes:
        from ai_edge_quantizer import qtyping, quantizer, recipe

        ranges = self._ranges(percentile)
        steps = {name: float((ends["max"] - ends["min"]).item()) / 255 for name, ends in ranges.items()}
        work = quantizer.Quantizer(bytearray(revive_dead_channels(self.model, steps)))
        work.load_quantization_recipe([{**entry, "regex": where} for entry in recipe.static_wi8_ai8()])
        kinds = qtyping.TFLOperationName
        for kind in (kinds.SOFTMAX, kinds.OUTPUT, kinds.HARD_SWISH):
            work.update_quantization_recipe(regex=".*", operation_name=kind, algorithm_key="no_quantize")
        for name in floats:
            work.update_quantization_recipe(
                regex=_exactly(name), operation_name=kinds.ALL_SUPPORTED, algorithm_key="no_quantize"
            )
        result = work.quantize(ranges, enable_progress_report=False, enable_progress_bar=False)
        return bytes(result.quantized_model)

    def _ranges(self, percentile: float) -> dict[str, dict[str, Any]]:
        """Range of every float activation; those before the first convolution have exactly the range that pixels have.

        A range taken from calibration frames would clip the pixels of brighter ones.
        """
        low, high = merge_ranges(self.low, self.high, percentile)
        early = self.ends.shape[1]
        low[:early], high[:early] = self.ends
        return {
            name: {"min": np.array([[low[i]]], np.float32), "max": np.array([[high[i]]], np.float32)}
            for i, name in enumerate(self.names)
        }


def open_quantiser(model: bytes, calibration: NDArray[np.uint8]) -> TfliteQuantiser:
    """Run calibration frames, uint8 (n, height, width, 3) RGB, through a float32 flatbuffer."""
    from ai_edge_litert import schema_py_generated as schema

    graph = schema.ModelT.InitFromPackedBuf(model, 0)
    tensors = graph.subgraphs[0].tensors
    kinds = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    outputs: dict[str, str] = {}
    names: list[str] = []
    early: int | None = None
    for index, operator in enumerate(graph.subgraphs[0].operators):
        kind = kinds[graph.operatorCodes[operator.opcodeIndex].builtinCode]
        if kind == "CONV_2D" and early is None:
            early = len(names)
        written = [tensors[place] for place in operator.outputs]
        floats = [tensor.name.decode() for tensor in written if tensor.type == schema.TensorType.FLOAT32]
        names += floats
        if early is not None and kind in _KINDS:
            outputs[f"{kind} {index}"] = floats[0]
    low, high = _extremes(model, names, calibration)
    ends = [np.full_like(calibration[0], level) for level in (0, 255)]
    ends_low, ends_high = _extremes(model, names[: early or 0], ends)
    return TfliteQuantiser(
        model, outputs, tuple(names), low, high, np.stack([ends_low.min(axis=0), ends_high.max(axis=0)])
    )


def _extremes(model: bytes, names: Sequence[str], frames: Iterable[Pixels]) -> tuple[Floats, Floats]:
    """Least and greatest value of the named tensors on every frame, each (frames, tensors)."""
    interpreter = _interpret(model, keep_all=True)
    indices = {tensor["name"]: tensor["index"] for tensor in interpreter.get_tensor_details()}
    lows, highs = [], []
    for frame in frames:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], frame[None])
        interpreter.invoke()
        values = [interpreter.get_tensor(indices[name]) for name in names]
        lows.append([float(value.min()) for value in values])
        highs.append([float(value.max()) for value in values])
    return np.array(lows), np.array(highs)


def _interpret(model: bytes, *, keep_all: bool) -> Any:  # noqa: ANN401 - the runtime has no types
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model, num_threads=1, experimental_preserve_all_tensors=keep_all)
    interpreter.allocate_tensors()
    return interpreter


def _exactly(name: str) -> str:
    """Match the scope of the one operator that writes a tensor: the quantiser joins its outputs with semicolons."""
    return f"^{re.escape(name)}(;|$)"

"""Static quantisation by AI Edge Quantizer: 8-bit activations, and 8-bit weights with one scale per channel.

Hard-swish and softmax stay in float: an 8-bit hard-swish halves MobileNetV3's speed in XNNPACK, which then runs the
graph in pieces, and 8-bit probabilities are too coarse to set a threshold on. Flatbuffers in, flatbuffers out.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.formats import INPUT, OUTPUT
from export.formats.tflite.dead_channels import revive_dead_channels
from export.parity import PredictFrames, Trace, one_by_one
from export.quantisation.calibration import Range, Ranges, range_of_pixels, take_ranges
from export.quantisation.int8_search import Scheme
from pipeline.data.preprocess import Pixels

_KINDS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "MUL")


@dataclass(frozen=True, slots=True)
class TfliteQuantiser:
    """Static quantiser of one float32 flatbuffer (``export.quantisation.int8_search.Quantiser``).

    Attributes:
        model: The flatbuffer.
        outputs: Operators that can stay in float -> the tensor that each writes; keys are e.g. "CONV_2D 3".
        ranges: Ranges of the activations on the calibration frames.
        pixels: Exact ranges of the tensors before the first convolution.
    """

    model: bytes
    outputs: Mapping[str, str]
    ranges: Ranges
    pixels: Mapping[str, Range]

    @property
    def ops(self) -> Sequence[str]:
        """Names of convolutions, products and sums: kind and index of the operator."""
        return tuple(self.outputs)

    def quantise(self, scheme: Scheme) -> bytes:
        """Quantise all operators except hard-swish, softmax and ``scheme.float_ops``."""
        return self._quantise(scheme.percentile, ".*", [self.outputs[op] for op in scheme.float_ops])

    def isolate(self, op: str, percentile: float) -> PredictFrames:
        """Open a flatbuffer in which only ``op`` has 8 bits."""
        return self.open(self._quantise(percentile, _exactly(self.outputs[op]), ()))

    def open(self, model: bytes) -> PredictFrames:
        """Open a flatbuffer in LiteRT on the CPU."""
        interpreter = _interpret(model, keep_all=False)
        runner = interpreter.get_signature_runner()
        frame_index = runner.get_input_details()[INPUT]["index"]
        output_index = runner.get_output_details()[OUTPUT]["index"]

        def predict(frame: Pixels) -> NDArray[np.float32]:
            interpreter.set_tensor(frame_index, frame[None])
            interpreter.invoke()
            return np.asarray(interpreter.get_tensor(output_index)[0], np.float32)

        return one_by_one(predict)

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
        ranges = {**self.ranges.merge(percentile), **self.pixels}
        return {
            name: {"min": np.array([[low]], np.float32), "max": np.array([[high]], np.float32)}
            for name, (low, high) in ranges.items()
        }


def open_quantiser(model: bytes, calibration: NDArray[np.uint8]) -> TfliteQuantiser:
    """Calibrate a float32 flatbuffer on frames, uint8 (n, height, width, 3) RGB."""
    outputs: dict[str, str] = {}
    early: set[str] = set()
    convolved = False
    for index, (kind, written) in enumerate(_operators(model)):
        convolved |= kind == "CONV_2D"
        if not convolved:
            early |= set(written)
        elif kind in _KINDS:
            outputs[f"{kind} {index}"] = written[0]
    trace = open_trace(model)
    pixels = {name: ends for name, ends in range_of_pixels(trace, calibration[0]).items() if name in early}
    return TfliteQuantiser(model, outputs, take_ranges(trace, calibration), pixels)


def quantise_by_default(model: bytes, calibration: NDArray[np.uint8], signature: str) -> bytes:
    """Quantise with the toolkit's static recipe and its own calibration: a moving average of minimum and maximum.

    Args:
        model: A float32 flatbuffer.
        calibration: Frames, uint8 (n, height, width, 3) RGB.
        signature: Name of the flatbuffer's signature.

    Returns:
        A flatbuffer that returns float probabilities: it converts the 256 levels of its softmax itself.
    """
    from ai_edge_quantizer import qtyping, quantizer, recipe

    work = quantizer.Quantizer(bytearray(model), recipe.static_wi8_ai8())
    output = qtyping.TFLOperationName.OUTPUT
    work.update_quantization_recipe(regex=".*", operation_name=output, algorithm_key="no_quantize")
    ranges = work.calibrate({signature: [{INPUT: frame[None]} for frame in calibration]})
    return bytes(work.quantize(ranges).quantized_model)


def open_trace(model: bytes) -> Trace:
    """Open a flatbuffer so that it yields every tensor that its operators write; integers are converted to floats."""
    interpreter = _interpret(model, keep_all=True)
    details = {tensor["name"]: tensor for tensor in interpreter.get_tensor_details()}
    shown = [details[name] for _, written in _operators(model) for name in written if _is_shown(details[name])]

    def trace(frame: Pixels) -> Iterator[tuple[str, NDArray[np.float32]]]:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], frame[None])
        interpreter.invoke()
        for tensor in shown:
            yield tensor["name"], _as_floats(interpreter.get_tensor(tensor["index"]), *tensor["quantization"])

    return trace


def _operators(model: bytes) -> Iterator[tuple[str, list[str]]]:
    """Yield the kind of every operator and the names of the tensors it writes, in execution order."""
    from ai_edge_litert import schema_py_generated as schema

    graph = schema.ModelT.InitFromPackedBuf(model, 0)
    kinds = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    for operator in graph.subgraphs[0].operators:
        written = [graph.subgraphs[0].tensors[place].name.decode() for place in operator.outputs]
        yield kinds[graph.operatorCodes[operator.opcodeIndex].builtinCode], written


def _is_shown(tensor: Mapping[str, Any]) -> bool:
    return bool(tensor["dtype"] == np.float32 or tensor["quantization"][0] > 0)


def _as_floats(values: NDArray[Any], scale: float, zero_point: int) -> NDArray[np.float32]:
    return np.asarray((values.astype(np.float32) - zero_point) * scale if scale else values, np.float32)


def _interpret(model: bytes, *, keep_all: bool) -> Any:  # noqa: ANN401 - the runtime has no types
    from ai_edge_litert.interpreter import Interpreter

    with warnings.catch_warnings():
        # The warning is about memory, which is no concern here.
        warnings.filterwarnings("ignore", message=".*experimental_preserve_all_tensors.*")
        interpreter = Interpreter(model_content=model, num_threads=1, experimental_preserve_all_tensors=keep_all)
    interpreter.allocate_tensors()
    return interpreter


def _exactly(name: str) -> str:
    """Regex for the scope of the operator that writes a tensor; the quantiser joins output names with semicolons."""
    return f"^{re.escape(name)}(;|$)"

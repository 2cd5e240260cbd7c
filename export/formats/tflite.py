"""TFLite, run by LiteRT: ``float32``; ``float16`` with weights in halves; ``dynamic_wi8_afp32`` with 8-bit weights.

``static_wi8_ai8`` has 8-bit weights and activations.
Reads an ``ExportJob``; writes one .tflite file with the signature ``classify``. Labels and metadata ride behind the
flatbuffer as a zip archive, where Android's readers look for a model's associated files
(https://ai.google.dev/edge/litert/conversion/tensorflow/metadata); it also shows at once when a file is cut short.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from export.calibration import merge_ranges
from export.dead_channels import revive_dead_channels
from export.formats import INPUT, OUTPUT, ExportJob, FormatParams, Interface, Predict, Runtime, check_frame
from export.quiet import quiet_output, quiet_toolkits
from pipeline.errors import ModelError
from pipeline.preprocess import Pixels

if TYPE_CHECKING:  # `load` must not bring torch into the process whose memory is measured
    import torch
    from torch import nn

SUFFIX = ".tflite"
TOOLS = ("torch", "litert-torch", "ai-edge-litert", "ai-edge-quantizer")
SIGNATURE = "classify"
Recipe = Literal["float32", "float16", "dynamic_wi8_afp32", "static_wi8_ai8"]
_EPOCH = (1980, 1, 1, 0, 0, 0)


class Params(FormatParams):
    """The section ``convert.tflite``; ``calibration_percentile`` of the frames lie inside the 8-bit range whole."""

    recipes: Annotated[
        tuple[Literal["float32", "float16", "dynamic_wi8_afp32", "static_wi8_ai8"], ...], Field(min_length=1)
    ]
    calibration_percentile: Annotated[float, Field(gt=50, le=100)] = 95.0


def export(job: ExportJob, recipe: str, params: Params, path: Path) -> None:
    """Write ``path``; deterministic."""
    with quiet_toolkits():
        model = _convert(job)
        if recipe == "static_wi8_ai8":
            model = _quantise(model, job.calibration, params.calibration_percentile)
        elif recipe != "float32":
            model = _compress_weights(model, recipe)
    path.write_bytes(model)
    files = {"labels.txt": "\n".join(job.labels) + "\n", "metadata.json": json.dumps(dict(job.metadata), indent=2)}
    with zipfile.ZipFile(path, "a") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), text)


def load(path: Path, threads: int = 1) -> Predict:
    """Open the model in LiteRT on the CPU."""
    _labels(path)
    interpreter, frame_details, output_details = _open(path, threads)
    height, width = (int(side) for side in frame_details["shape"][1:3])

    def predict(frame: Pixels) -> NDArray[np.float32]:
        check_frame(frame, height, width, path)
        interpreter.set_tensor(frame_details["index"], frame[None])
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(output_details["index"])[0], np.float32)

    return predict


def describe(path: Path) -> Interface:
    """Read the signature's input and output, and the labels beside them."""
    labels = _labels(path)
    interpreter, frame, _ = _open(path, 1)
    names = interpreter.get_signature_list()[SIGNATURE]
    return Interface(
        input_name=names["inputs"][0],
        dtype=np.dtype(frame["dtype"]).name,
        layout="NHWC",
        height=int(frame["shape"][1]),
        width=int(frame["shape"][2]),
        output_name=names["outputs"][0],
        labels=labels,
    )


def runtime() -> Runtime:
    """LiteRT runs everywhere."""
    return Runtime("LiteRT")


@lru_cache(maxsize=1)
def _convert(job: ExportJob) -> bytes:
    """Convert to a float32 flatbuffer; kept, because the quantised recipe starts from it."""
    import litert_torch
    import torch
    from litert_torch import config

    config.show_progress = False
    height, width = job.spec.input_size
    frame = torch.zeros(1, height, width, 3, dtype=torch.uint8)
    converter = litert_torch.signature(SIGNATURE, _named(job.network).eval(), sample_kwargs={INPUT: frame})
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / "float32.tflite"
        converter.convert().export(str(plain))
        return plain.read_bytes()


def _named(network: nn.Module) -> nn.Module:
    """Give the signature's input and output their names."""
    from torch import nn

    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
            return {OUTPUT: self.network(image)}

    return Named()


def _compress_weights(model: bytes, recipe_name: str) -> bytes:
    """Store weights as halves, or as 8-bit integers; the runtime then rounds activations as they come."""
    from ai_edge_quantizer import qtyping, quantizer, recipe

    work = quantizer.Quantizer(bytearray(model))
    if recipe_name == "float16":
        halves = qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT)
        work.update_quantization_recipe(
            regex=".*",
            operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
            op_config=qtyping.OpQuantizationConfig(weight_tensor_config=halves, explicit_dequantize=True),
            algorithm_key="float_casting",
        )
    else:
        work.load_quantization_recipe(getattr(recipe, recipe_name)())
    result = work.quantize(enable_progress_report=False, enable_progress_bar=False)
    return bytes(result.quantized_model)


def _quantise(model: bytes, calibration: NDArray[np.uint8], percentile: float) -> bytes:
    """Quantise weights and activations; hard-swish and softmax stay float.

    An 8-bit hard-swish halves MobileNetV3's speed in XNNPACK, which then runs the graph in pieces, and 8-bit
    probabilities are too coarse to set a threshold on.
    """
    from ai_edge_quantizer import qtyping, quantizer, recipe

    ranges = _ranges(model, calibration, percentile)
    steps = {name: float((ends["max"] - ends["min"]).item()) / 255 for name, ends in ranges.items()}
    work = quantizer.Quantizer(bytearray(revive_dead_channels(model, steps)))
    work.load_quantization_recipe(recipe.static_wi8_ai8())
    names = qtyping.TFLOperationName
    for operation in (names.SOFTMAX, names.OUTPUT, names.HARD_SWISH):
        work.update_quantization_recipe(regex=".*", operation_name=operation, algorithm_key="no_quantize")
    result = work.quantize(ranges, enable_progress_report=False, enable_progress_bar=False)
    return bytes(result.quantized_model)


def _ranges(model: bytes, calibration: NDArray[np.uint8], percentile: float) -> dict[str, dict[str, Any]]:
    """Range of every float activation; those before the first convolution have exactly the range that pixels have.

    A range taken from calibration frames would clip the pixels of brighter ones, so a black and a white frame give it.
    """
    names, pixel_tensors = _activations(model)
    low, high = merge_ranges(*_extremes(model, names, calibration), percentile)
    ends = [np.full_like(calibration[0], level) for level in (0, 255)]
    ends_low, ends_high = _extremes(model, names[:pixel_tensors], ends)
    low[:pixel_tensors], high[:pixel_tensors] = ends_low.min(axis=0), ends_high.max(axis=0)
    return {
        name: {"min": np.array([[low[i]]], np.float32), "max": np.array([[high[i]]], np.float32)}
        for i, name in enumerate(names)
    }


def _extremes(
    model: bytes, names: list[str], frames: Iterable[Pixels]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least and greatest value of the named tensors on every frame, each (frames, tensors)."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model, num_threads=1, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    indices = {tensor["name"]: tensor["index"] for tensor in interpreter.get_tensor_details()}
    lows, highs = [], []
    for frame in frames:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], frame[None])
        interpreter.invoke()
        values = [interpreter.get_tensor(indices[name]) for name in names]
        lows.append([float(value.min()) for value in values])
        highs.append([float(value.max()) for value in values])
    return np.array(lows), np.array(highs)


def _activations(model: bytes) -> tuple[list[str], int]:
    """Names of the float tensors that operators write, in order, and how many come before the first convolution."""
    from ai_edge_litert import schema_py_generated as schema

    graph = schema.ModelT.InitFromPackedBuf(model, 0)
    tensors = graph.subgraphs[0].tensors
    names: list[str] = []
    pixel_tensors: int | None = None
    for operator in graph.subgraphs[0].operators:
        if graph.operatorCodes[operator.opcodeIndex].builtinCode == schema.BuiltinOperator.CONV_2D:
            pixel_tensors = len(names) if pixel_tensors is None else pixel_tensors
        written = [tensors[index] for index in operator.outputs]
        names += [tensor.name.decode() for tensor in written if tensor.type == schema.TensorType.FLOAT32]
    return names, pixel_tensors or 0


def _labels(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        raise ModelError(f"{path}: missing; expected a TFLite model; run dvc repro convert@tflite")
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(archive.read("labels.txt").decode().split())
    except (zipfile.BadZipFile, KeyError) as error:
        raise ModelError(
            f"{path}: cut short, or not a TFLite model of Gossamer's: no labels behind it ({error}); "
            "run dvc repro convert@tflite"
        ) from error


def _open(path: Path, threads: int) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    from ai_edge_litert.interpreter import Interpreter

    try:
        # The runtime announces its delegate on stderr.
        with quiet_output():
            interpreter = Interpreter(model_path=str(path), num_threads=threads)
            interpreter.allocate_tensors()
        runner = interpreter.get_signature_runner(SIGNATURE)
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"{path}: not a whole TFLite model: {error}; run dvc repro convert@tflite") from error
    return interpreter, runner.get_input_details()[INPUT], runner.get_output_details()[OUTPUT]

"""TFLite, run by LiteRT.

Recipes: ``float32``; ``float16``, weights stored as halves; ``dynamic_wi8_afp32``, 8-bit weights, activations rounded
at run time; ``static_wi8_ai8``, 8-bit weights and activations.

Reads an ``ExportJob``; writes one .tflite file with the signature ``classify``. Labels and metadata are appended to the
flatbuffer as a zip archive, where Android's readers look for the files that ``metadata.py`` names in it; a file that
was cut short has no archive, which shows at once.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from export.decision import read_decision
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
from export.formats.tflite.kotlin_snippet import SNIPPET
from export.formats.tflite.metadata import LABELS_FILE, add_metadata
from export.formats.tflite.quantiser import open_quantiser, open_trace, quantise_by_default
from export.parity import Predict, Trace
from export.quantisation.int8_search import search
from export.toolkit_output import quiet_output, quiet_toolkits
from pipeline.data.preprocess import Pixels
from pipeline.data.records import Quantisation
from pipeline.errors import ModelError

if TYPE_CHECKING:  # `load` must not bring torch into the process whose memory is measured
    import torch
    from torch import nn

TOOLS = ("torch", "litert-torch", "ai-edge-litert", "ai-edge-quantizer")
SIGNATURE = "classify"
Recipe = Literal["float32", "float16", "dynamic_wi8_afp32", "static_wi8_ai8"]
RECIPES: tuple[str, ...] = get_args(Recipe)
_CLASSES = ("export.formats.tflite", "_named.<locals>.Named"), ("pipeline.model", "PortableClassifier")
"""Module and name of the two outermost classes. The converter puts the names of classes into those of tensors; fixed
here, they keep the bytes of artifacts the same when code moves."""
FACTS_FILE = "metadata.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time stamp of the files in the archive: the earliest that zip has."""


class Params(FormatParams):
    """Section ``convert.formats.tflite`` of params.yaml."""

    recipes: Annotated[tuple[Recipe, ...], Field(min_length=1)]


def suffix(recipe: str) -> str:  # noqa: ARG001 - all recipes share it
    """Return the file name's suffix."""
    return ".tflite"


def export(job: ExportJob, recipe: str, params: Params, path: Path) -> Quantisation | None:  # noqa: ARG001
    """Write ``path``; deterministic."""
    quantisation = None
    with quiet_toolkits():
        model = _convert(job)
        if recipe in ("float16", "dynamic_wi8_afp32"):
            model = _compress_weights(model, recipe)
    if recipe == "static_wi8_ai8":
        open_own = partial(open_quantiser, model, job.calibration)
        model, quantisation = search(open_own, job.reference, job.int8, job.report)
    _write(model, job.spec.input_size, job.labels, job.metadata, path)
    return quantisation


def load(path: Path, threads: int = 1) -> Predict:
    """Open the model in LiteRT on the CPU."""
    _read_archive(path)
    interpreter, frame_details, output_details = _open(path, threads)
    height, width = (int(side) for side in frame_details["shape"][1:3])

    def predict(frame: Pixels) -> NDArray[np.float32]:
        check_frame(frame, height, width, path)
        interpreter.set_tensor(frame_details["index"], frame[None])
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(output_details["index"])[0], np.float32)

    return predict


def describe(path: Path) -> Interface:
    """Read the input and output of the signature, and the labels of the archive."""
    labels, facts, _ = _read_archive(path)
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
        decision=read_decision(facts, path),
    )


def annotate(path: Path, metadata: Mapping[str, str]) -> None:
    """Replace the metadata of the flatbuffer and the facts behind it."""
    interface = describe(path)
    model = path.read_bytes()[: _read_archive(path)[2]]
    _write(model, (interface.height, interface.width), interface.labels, metadata, path)


def runtime() -> Runtime:
    """LiteRT is the same on every machine."""
    return Runtime("LiteRT")


def trace(path: Path) -> Trace:
    """Open the model so that it yields its intermediate results."""
    _read_archive(path)
    with quiet_output():
        return open_trace(path.read_bytes())


def short_name(tensor: str) -> str:
    """Reduce a tensor's name to its place: "Named/a/b_network/c_blocks/d_dw;1" -> "blocks.dw;1"."""
    if "/" not in tensor:
        return tensor
    parts = tensor.rpartition(";;")[2].rstrip(";").split("/")
    return ".".join(part.rpartition(".")[2].partition("_")[2] for part in parts[3:]) or parts[-1].rpartition(".")[2]


def export_with_toolkit_defaults(job: ExportJob, recipe: str, params: Params, path: Path) -> None:  # noqa: ARG001
    """Quantise with AI Edge Quantizer's defaults, as a comparison for ``static_wi8_ai8``."""
    with quiet_toolkits():
        model = quantise_by_default(_convert(job), job.calibration, SIGNATURE)
    _write(model, job.spec.input_size, job.labels, job.metadata, path)


EXTRAS = Extras(
    annotate=annotate,
    trace=trace,
    short_name=short_name,
    snippets=(SNIPPET,),
    toolkit_defaults=ToolkitDefaults(("static_wi8_ai8",), export_with_toolkit_defaults),
    arm64_guest=Arm64Guest(Path(__file__).with_name("arm64_guest.py"), ("ai-edge-litert",)),
)


@lru_cache(maxsize=1)
def _convert(job: ExportJob) -> bytes:
    """Convert to a float32 flatbuffer; cached, because every recipe of a job starts from it."""
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
    """Name the signature's input and output, and give the wrapping classes the names in ``_CLASSES``.

    The names of input and output are those of the argument and of the key.
    """
    from torch import nn

    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = _renamed(network, *_CLASSES[1])

        def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
            return {OUTPUT: self.network(image)}

    Named.__module__, Named.__qualname__ = _CLASSES[0]
    return Named()


def _renamed(network: nn.Module, module: str, name: str) -> nn.Module:
    """Return a view of a network whose class has another name; weights are shared."""
    kind = type(name, (type(network),), {"__module__": module})
    renamed: nn.Module = object.__new__(kind)
    renamed.__dict__ = network.__dict__
    return renamed


def _compress_weights(model: bytes, recipe_name: str) -> bytes:
    """Store weights as halves (float16), or as 8-bit integers with activations that the runtime rounds (dynamic)."""
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


def _write(model: bytes, size: tuple[int, int], labels: Sequence[str], facts: Mapping[str, str], path: Path) -> None:
    """Write a flatbuffer with its metadata, and labels and facts behind it."""
    path.write_bytes(add_metadata(model, size, facts, (INPUT, OUTPUT)))
    files = {LABELS_FILE: "\n".join(labels) + "\n", FACTS_FILE: json.dumps(dict(sorted(facts.items())), indent=2)}
    with zipfile.ZipFile(path, "a") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), text)


def _read_archive(path: Path) -> tuple[tuple[str, ...], dict[str, str], int]:
    """Read the archive behind a flatbuffer: labels, facts, and the size of the flatbuffer in bytes."""
    if not path.is_file():
        raise ModelError(f"{path}: missing; expected a TFLite model; run dvc repro convert@tflite")
    try:
        with zipfile.ZipFile(path) as archive:
            labels = tuple(archive.read(LABELS_FILE).decode().split())
            facts = json.loads(archive.read(FACTS_FILE))
            start = min(entry.header_offset for entry in archive.infolist())
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, OSError, RuntimeError) as error:
        raise ModelError(
            f"{path}: cut short, or not one of Gossamer's TFLite models: no labels behind it ({error}); "
            "run dvc repro convert@tflite"
        ) from error
    if not isinstance(facts, dict):
        raise ModelError(f"{path}: {FACTS_FILE} behind it is no JSON object; run dvc repro convert@tflite")
    return labels, {str(key): str(value) for key, value in facts.items()}, start


def _open(path: Path, threads: int) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Open an interpreter; returns it with the details of its input and output."""
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

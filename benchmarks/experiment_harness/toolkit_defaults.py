"""Quantises with the defaults of each toolkit, from the same weights and calibration images as Gossamer's recipes.

The reference that shows what Gossamer's calibration and search contribute. Reads the float artifacts of one folder, and
writes quantised ones to another.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.formats import INPUT
from export.formats.coreml.quantiser import open_saved, open_trace, own_ranges
from export.quantisation.calibration import take_ranges
from export.toolkit_output import quiet_toolkits
from pipeline.data.hashing import sha256_of, size_of
from pipeline.data.records import Artifact, Artifacts
from pipeline.data.storage import read_json
from pipeline.errors import DataError

SUFFIX = "_plain"
SOURCES: Mapping[str, Mapping[str, str]] = {
    "onnx": {"static_wi8_ai8": "float32.onnx"},
    "tflite": {"static_wi8_ai8": "float32.tflite"},
    "coreml": {"wi8": "float16.mlpackage", "wi8_ai8": "float16.mlpackage"},
}
"""Format -> recipe -> the float artifact that is quantised."""


def quantise_by_default(folder: Path, frames: NDArray[np.uint8], out: Path) -> list[tuple[Path, Artifact]]:
    """Quantise the float artifact in artifacts/FORMAT with the toolkit's defaults.

    Args:
        folder: artifacts/FORMAT, with its artifact.json.
        frames: Calibration frames, RGB, uint8 (n, height, width, 3).
        out: Folder of the quantised artifacts.

    Returns:
        (model, its record) of each artifact; names of recipes end in ``_plain``.

    Raises:
        DataError: artifact.json is missing, or lists no float artifact.
    """
    float_artifacts = read_json(folder / "artifact.json", Artifacts)
    format_name = float_artifacts.format
    records = {artifact.recipe: artifact for artifact in float_artifacts.artifacts}
    quantised = []
    out.mkdir(parents=True, exist_ok=True)
    for recipe, source in SOURCES[format_name].items():
        record = records.get(Path(source).stem)
        if record is None:
            raise DataError(
                f"{folder}: no {source}; expected it among params.yaml convert.formats.{format_name}.recipes"
            )
        path = out / f"{recipe}{SUFFIX}{Path(source).suffix}"
        with quiet_toolkits():
            _QUANTISE[format_name](folder / source, recipe, frames, path)
        changes = {"recipe": f"{recipe}{SUFFIX}", "id": f"{format_name}-{recipe}{SUFFIX}"}
        sizes = {"file": path.name, "sha256": sha256_of(path), "size_bytes": size_of(path)}
        quantised.append((path, record.model_copy(update={**changes, **sizes})))
    return quantised


def _quantise_onnx(source: Path, _: str, frames: NDArray[np.uint8], path: Path) -> None:
    """ONNX Runtime's quantize_static: min-max ranges, signed 8 bits, one scale per tensor."""
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    class Frames(CalibrationDataReader):  # type: ignore[misc]
        """Returns one frame after the other."""

        def __init__(self) -> None:
            self.frames: Iterator[NDArray[np.uint8]] = iter(frames)

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            """Return the next frame; None at the end."""
            frame = next(self.frames, None)
            return None if frame is None else {INPUT: frame[None]}

    quantize_static(str(source), str(path), Frames())


def _quantise_tflite(source: Path, _: str, frames: NDArray[np.uint8], path: Path) -> None:
    """AI Edge Quantizer's static recipe with its own calibration: a moving average of minimum and maximum.

    The output stays float: the graph dequantises its 256 levels of probability.
    """
    from ai_edge_quantizer import qtyping, quantizer, recipe

    work = quantizer.Quantizer(str(source), recipe.static_wi8_ai8())
    output = qtyping.TFLOperationName.OUTPUT
    work.update_quantization_recipe(regex=".*", operation_name=output, algorithm_key="no_quantize")
    ranges = work.calibrate({"classify": [{INPUT: frame[None]} for frame in frames]})
    path.write_bytes(bytes(work.quantize(ranges).quantized_model))
    with zipfile.ZipFile(source) as labels, zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.txt", labels.read("labels.txt"))


def _quantise_coreml(source: Path, recipe: str, frames: NDArray[np.uint8], path: Path) -> None:
    """Linear symmetric quantisation of coremltools; our interpreter finds the ranges, for coremltools needs a Mac."""
    import coremltools
    from coremltools.optimize import coreml

    config = coreml.OptimizationConfig(global_config=coreml.OpLinearQuantizerConfig())
    model: Any = coremltools.models.MLModel(str(source), skip_model_load=True)
    if recipe == "wi8_ai8":
        extremes = take_ranges(open_trace(open_saved(model)), frames).merge(100)
        with own_ranges({name: {"rmin": low, "rmax": high} for name, (low, high) in extremes.items()}):
            model = coreml.linear_quantize_activations(model, config, [{}])
    coreml.linear_quantize_weights(model, config).save(str(path))


_QUANTISE = {"onnx": _quantise_onnx, "tflite": _quantise_tflite, "coreml": _quantise_coreml}

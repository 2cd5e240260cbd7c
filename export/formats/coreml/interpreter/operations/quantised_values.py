"""MIL ops that decode compressed weights, or round activations to integers and back.

Source: coremltools 9, converters/mil/mil/ops/defs: iOS16/constexpr_ops.py, iOS17/quantization_ops.py,
iOS18/compression.py.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from export.formats.coreml.interpreter.constants import unpack
from export.formats.coreml.interpreter.operations.arguments import Arguments, Operation, integers, tensor_of
from pipeline.errors import UnmeasurableError


def _affine_dequantize(arguments: Arguments) -> torch.Tensor:
    """Decode integer weights: scale * (stored - zero point), with one scale per slice along ``axis``."""
    stored = np.asarray(arguments["quantized_data"], np.float32)
    shape = [1] * stored.ndim
    shape[int(arguments["axis"])] = -1
    scale, zero = (_along(arguments[name], shape) for name in ("scale", "zero_point"))
    return torch.from_numpy((stored - zero) * scale)


def _quantize(arguments: Arguments) -> torch.Tensor:
    """Round activations to integers, held as floats: round(input / scale) + zero point, clipped to their type."""
    kind = arguments["output_dtype"]
    if kind not in ("int8", "uint8"):
        raise UnmeasurableError(f"op quantize to {kind}; expected int8 or uint8")
    scale, zero = _of_axis(arguments, "scale"), _of_axis(arguments, "zero_point")
    least, greatest = (-128, 127) if kind == "int8" else (0, 255)
    return torch.clamp(torch.round(tensor_of(arguments["input"]) / scale) + zero, least, greatest)


def _dequantize(arguments: Arguments) -> torch.Tensor:
    """Convert integers to activations: scale * (input - zero point)."""
    return (tensor_of(arguments["input"]) - _of_axis(arguments, "zero_point")) * _of_axis(arguments, "scale")


def _of_axis(arguments: Arguments, name: str) -> torch.Tensor:
    """Shape a scale or zero point for broadcasting: a number, or one per slice along ``axis``; missing means zero."""
    values = tensor_of(arguments.get(name, 0.0))
    if values.dim() == 0:
        return values
    shape = [1] * tensor_of(arguments["input"]).dim()
    shape[int(arguments["axis"])] = -1
    return values.reshape(shape)


def _blockwise_shift_scale(arguments: Arguments) -> torch.Tensor:
    """Decode integer weights: scale * (stored - offset), with one scale per block."""
    stored = np.asarray(arguments["data"], np.float32)
    scale = _spread(arguments["scale"], stored.shape)
    offset = _spread(arguments["offset"], stored.shape) if "offset" in arguments else np.float32(0)
    return torch.from_numpy((stored - offset) * scale)


def _lut_to_dense(arguments: Arguments) -> torch.Tensor:
    """Decode indices into a palette: up to iOS 17 packed, with their shape; later with one palette per block."""
    palette = np.asarray(arguments["lut"], np.float32)
    if "shape" in arguments:
        shape = integers(arguments["shape"])
        bits = (palette.size - 1).bit_length()
        indices = unpack(np.asarray(arguments["indices"]), bits, math.prod(shape))
        return torch.from_numpy(palette.reshape(-1)[indices].reshape(shape))
    indices = np.asarray(arguments["indices"])
    if palette.shape[-1] != 1:
        raise UnmeasurableError(f"op constexpr_lut_to_dense with vectors of {palette.shape[-1]}; expected numbers")
    blocks = [
        np.arange(size) // (size // number) for size, number in zip(indices.shape, palette.shape[:-2], strict=True)
    ]
    return torch.from_numpy(palette[(*np.ix_(*blocks), indices, 0)])


def _along(values: Any, shape: list[int]) -> Any:  # noqa: ANN401 - arrays
    values = np.asarray(values, np.float32)
    return values if values.ndim == 0 else values.reshape(shape)


def _spread(values: Any, shape: tuple[int, ...]) -> Any:  # noqa: ANN401 - arrays
    values = np.asarray(values, np.float32)
    for axis, size in enumerate(shape):
        values = np.repeat(values, size // values.shape[axis], axis=axis)
    return values


OPERATIONS: dict[str, Operation] = {
    "constexpr_affine_dequantize": _affine_dequantize,
    "constexpr_blockwise_shift_scale": _blockwise_shift_scale,
    "constexpr_lut_to_dense": _lut_to_dense,
    "dequantize": _dequantize,
    "quantize": _quantize,
}

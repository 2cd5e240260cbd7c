"""The MIL ops, on float32 torch tensors, as coremltools' reference defines them.

Arguments are passed by their MIL names: activations as tensors, constants as arrays, strings or lists
(https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from export.formats.coreml.interpreter.constants import unpack
from pipeline.errors import ModelError

Arguments = Mapping[str, Any]
Operation = Callable[[Arguments], torch.Tensor]


def tensor_of(value: Any) -> torch.Tensor:  # noqa: ANN401 - an array or a tensor
    """Convert a constant to a float32 tensor; a tensor is returned unchanged."""
    return value if isinstance(value, torch.Tensor) else torch.from_numpy(np.asarray(value, np.float32))


def _add(arguments: Arguments) -> torch.Tensor:
    return tensor_of(arguments["x"]) + tensor_of(arguments["y"])


def _sub(arguments: Arguments) -> torch.Tensor:
    return tensor_of(arguments["x"]) - tensor_of(arguments["y"])


def _mul(arguments: Arguments) -> torch.Tensor:
    return tensor_of(arguments["x"]) * tensor_of(arguments["y"])


def _cast(arguments: Arguments) -> torch.Tensor:
    if arguments["dtype"] not in ("fp16", "fp32"):
        raise ModelError(f"op cast to {arguments['dtype']}; expected fp16 or fp32")
    return tensor_of(arguments["x"])


def _relu(arguments: Arguments) -> torch.Tensor:
    return functional.relu(arguments["x"])


def _clip(arguments: Arguments) -> torch.Tensor:
    return torch.clamp(arguments["x"], float(arguments["alpha"]), float(arguments["beta"]))


def _thresholded_relu(arguments: Arguments) -> torch.Tensor:
    x = arguments["x"]
    return torch.where(x >= float(arguments["alpha"]), x, torch.zeros_like(x))


def _sigmoid(arguments: Arguments) -> torch.Tensor:
    return torch.sigmoid(arguments["x"])


def _sigmoid_hard(arguments: Arguments) -> torch.Tensor:
    return torch.clamp(float(arguments["alpha"]) * arguments["x"] + float(arguments["beta"]), 0.0, 1.0)


def _silu(arguments: Arguments) -> torch.Tensor:
    return functional.silu(arguments["x"])


def _softmax(arguments: Arguments) -> torch.Tensor:
    return torch.softmax(arguments["x"], dim=int(arguments["axis"]))


def _reduce_mean(arguments: Arguments) -> torch.Tensor:
    x = arguments["x"]
    axes = _integers(arguments["axes"]) if "axes" in arguments else list(range(x.dim()))
    return torch.mean(x, dim=axes, keepdim=bool(arguments.get("keep_dims", False)))


def _reshape(arguments: Arguments) -> torch.Tensor:
    return torch.reshape(arguments["x"], _integers(arguments["shape"]))


def _linear(arguments: Arguments) -> torch.Tensor:
    bias = tensor_of(arguments["bias"]) if "bias" in arguments else None
    return functional.linear(arguments["x"], tensor_of(arguments["weight"]), bias)


def _pad(arguments: Arguments) -> torch.Tensor:
    if arguments.get("mode", "constant") != "constant":
        raise ModelError(f"op pad with mode {arguments['mode']}; expected constant")
    pairs = np.asarray(arguments["pad"]).reshape(-1, 2)
    # MIL lists the axes from the first to the last, torch from the last to the first.
    flat = [int(side) for pair in pairs[::-1] for side in pair]
    return functional.pad(arguments["x"], flat, value=float(arguments.get("constant_val", 0.0)))


def _conv(arguments: Arguments) -> torch.Tensor:
    """2-D convolution; weight (out, in / groups, kernel height, kernel width)."""
    x, weight = arguments["x"], tensor_of(arguments["weight"])
    strides = _integers(arguments.get("strides", (1, 1)))
    dilations = _integers(arguments.get("dilations", (1, 1)))
    kind = arguments.get("pad_type", "valid")
    if kind == "custom":
        top, bottom, left, right = _integers(arguments["pad"])
    elif kind in ("valid", "same"):
        top, bottom, left, right = _same_padding(x, weight, strides, dilations) if kind == "same" else (0, 0, 0, 0)
    else:
        raise ModelError(f"op conv with pad_type {kind}; expected valid, same or custom")
    bias = tensor_of(arguments["bias"]) if "bias" in arguments else None
    if top == bottom and left == right:
        padding = top, left
    else:  # torch can pad both sides of an axis only by the same number
        x, padding = functional.pad(x, (left, right, top, bottom)), (0, 0)
    groups = int(arguments.get("groups", 1))
    return functional.conv2d(x, weight, bias, stride=strides, padding=padding, dilation=dilations, groups=groups)


def _same_padding(
    x: torch.Tensor, weight: torch.Tensor, strides: list[int], dilations: list[int]
) -> tuple[int, int, int, int]:
    """Padding (top, bottom, left, right) for outputs of size / stride, rounded up; an odd pixel goes to the end."""
    sides: list[int] = []
    for axis in range(2):
        size, reach = x.shape[2 + axis], (weight.shape[2 + axis] - 1) * dilations[axis] + 1
        total = max(0, (-(-size // strides[axis]) - 1) * strides[axis] + reach - size)
        sides += [total // 2, total - total // 2]
    return sides[0], sides[1], sides[2], sides[3]


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
        raise ModelError(f"op quantize to {kind}; expected int8 or uint8")
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
        shape = _integers(arguments["shape"])
        bits = (palette.size - 1).bit_length()
        indices = unpack(np.asarray(arguments["indices"]), bits, math.prod(shape))
        return torch.from_numpy(palette.reshape(-1)[indices].reshape(shape))
    indices = np.asarray(arguments["indices"])
    if palette.shape[-1] != 1:
        raise ModelError(f"op constexpr_lut_to_dense with vectors of {palette.shape[-1]}; expected single numbers")
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


def _integers(values: Any) -> list[int]:  # noqa: ANN401 - an array or a tuple
    return [int(value) for value in np.asarray(values).ravel()]


OPERATIONS: dict[str, Operation] = {
    "add": _add,
    "cast": _cast,
    "clip": _clip,
    "constexpr_affine_dequantize": _affine_dequantize,
    "constexpr_blockwise_shift_scale": _blockwise_shift_scale,
    "constexpr_lut_to_dense": _lut_to_dense,
    "conv": _conv,
    "dequantize": _dequantize,
    "linear": _linear,
    "mul": _mul,
    "pad": _pad,
    "quantize": _quantize,
    "reduce_mean": _reduce_mean,
    "relu": _relu,
    "reshape": _reshape,
    "sigmoid": _sigmoid,
    "sigmoid_hard": _sigmoid_hard,
    "silu": _silu,
    "softmax": _softmax,
    "sub": _sub,
    "thresholded_relu": _thresholded_relu,
}

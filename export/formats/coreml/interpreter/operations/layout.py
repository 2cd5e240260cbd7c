"""MIL ops that move values without changing them: shapes, slices, joins, padding and gathering.

Source: coremltools 9, converters/mil/mil/ops/defs/iOS15: tensor_transformation.py, tensor_operation.py,
scatter_gather.py; iOS16/tensor_transformation.py (pixel_unshuffle).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from export.formats.coreml.interpreter.operations.arguments import (
    OUTPUT_INDEX,
    Arguments,
    Operation,
    axes_of,
    flags,
    integers,
    members,
    tensor_of,
)
from pipeline.errors import UnmeasurableError

_PAD_MODES = {"reflect": "reflect", "replicate": "edge"}
"""MIL's mode -> NumPy's."""


def _reshape(arguments: Arguments) -> torch.Tensor:
    """-1 stands for what remains; 0 keeps an axis, where the number of axes does not change."""
    x, shape = tensor_of(arguments["x"]), integers(arguments["shape"])
    if len(shape) == x.dim():
        shape = [size or kept for size, kept in zip(shape, x.shape, strict=True)]
    return torch.reshape(x, shape)


def _flatten2d(arguments: Arguments) -> torch.Tensor:
    x, axis = tensor_of(arguments["x"]), int(arguments.get("axis", 1))
    return x.reshape(int(np.prod(x.shape[:axis], dtype=np.int64)), -1)


def _transpose(arguments: Arguments) -> torch.Tensor:
    return tensor_of(arguments["x"]).permute(integers(arguments["perm"]))


def _expand_dims(arguments: Arguments) -> torch.Tensor:
    """Insert axes of size 1; negative ones count from the end of the result."""
    x, axes = tensor_of(arguments["x"]), integers(arguments["axes"])
    for axis in sorted(axis % (x.dim() + len(axes)) for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _squeeze(arguments: Arguments) -> torch.Tensor:
    """Remove axes of size 1: those listed, or all; listed axes of another size stay."""
    x = tensor_of(arguments["x"])
    return x.squeeze(tuple(axes_of(arguments, x.dim())))


def _concat(arguments: Arguments) -> torch.Tensor:
    values, axis = members(arguments, "values"), int(arguments["axis"])
    if not bool(arguments.get("interleave", False)):
        return torch.cat(values, dim=axis)
    axis %= values[0].dim()
    return torch.stack(values, dim=axis + 1).flatten(axis, axis + 1)


def _stack(arguments: Arguments) -> torch.Tensor:
    return torch.stack(members(arguments, "values"), dim=int(arguments["axis"]))


def _split(arguments: Arguments) -> torch.Tensor:
    """One of the parts: of equal sizes, or of ``split_sizes``."""
    x, axis = tensor_of(arguments["x"]), int(arguments["axis"])
    if "split_sizes" in arguments:
        sizes = integers(arguments["split_sizes"])
    else:
        count = int(arguments["num_splits"])
        sizes = [x.shape[axis] // count] * count
    return torch.split(x, sizes, dim=axis)[int(arguments.get(OUTPUT_INDEX, 0))]


def _slice_by_index(arguments: Arguments) -> torch.Tensor:
    """NumPy's x[begin:end:stride]; masks ignore a begin or an end, or take one index and remove the axis."""
    x = tensor_of(arguments["x"])
    begin, end = integers(arguments["begin"]), integers(arguments["end"])
    strides = integers(arguments.get("stride", [1] * x.dim()))
    open_begin, open_end, single = (flags(arguments, f"{name}_mask", x.dim()) for name in ("begin", "end", "squeeze"))
    for axis in range(x.dim()):
        if single[axis]:
            wanted = np.array([0 if open_begin[axis] else begin[axis] % x.shape[axis]])
        else:
            first = None if open_begin[axis] else begin[axis]
            last = None if open_end[axis] else end[axis]
            wanted = np.arange(x.shape[axis])[first : last : strides[axis]]
        x = _take(x, axis, wanted)
    return x.squeeze(tuple(axis for axis in range(x.dim()) if single[axis])) if any(single) else x


def _slice_by_size(arguments: Arguments) -> torch.Tensor:
    """``size`` values from ``begin`` on; -1 takes all that follow."""
    x = tensor_of(arguments["x"])
    for axis, (begin, size) in enumerate(zip(integers(arguments["begin"]), integers(arguments["size"]), strict=True)):
        first = begin % x.shape[axis]
        x = x.narrow(axis, first, x.shape[axis] - first if size < 0 else size)
    return x


def _take(x: torch.Tensor, axis: int, indices: NDArray[np.int64]) -> torch.Tensor:
    if np.array_equal(indices, np.arange(x.shape[axis])):
        return x
    return x.index_select(axis, torch.from_numpy(np.ascontiguousarray(indices, np.int64)))


def _reverse(arguments: Arguments) -> torch.Tensor:
    x = tensor_of(arguments["x"])
    return x.flip(axes_of(arguments, x.dim()))


def _tile(arguments: Arguments) -> torch.Tensor:
    return tensor_of(arguments["x"]).repeat(integers(arguments["reps"]))


def _pad(arguments: Arguments) -> torch.Tensor:
    """Pad the last axes, (before, after) each, by a constant, by reflection, or by repeating the edge."""
    x, mode = tensor_of(arguments["x"]), arguments.get("mode", "constant")
    pairs = np.asarray(arguments["pad"]).reshape(-1, 2)
    if mode == "constant":
        # MIL lists the axes from the first to the last, torch from the last to the first.
        flat = [int(side) for pair in pairs[::-1] for side in pair]
        return functional.pad(x, flat, value=float(arguments.get("constant_val", 0.0)))
    if mode not in _PAD_MODES:
        raise UnmeasurableError(f"op pad with mode {mode}; expected constant, reflect or replicate")
    for axis, (before, after) in enumerate(pairs, x.dim() - len(pairs)):
        positions = np.pad(np.arange(x.shape[axis]), (int(before), int(after)), _PAD_MODES[mode])  # type: ignore[call-overload]
        x = _take(x, axis, positions)
    return x


def _gather(arguments: Arguments) -> torch.Tensor:
    """Slices along ``axis``; the axes of the indices take its place. Negative indices count from the end."""
    x, axis = tensor_of(arguments["x"]), int(arguments.get("axis", 0))
    axis %= x.dim()
    indices = tensor_of(arguments["indices"]).long() % x.shape[axis]
    taken = x.index_select(axis, indices.reshape(-1))
    return taken.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def _gather_along_axis(arguments: Arguments) -> torch.Tensor:
    x, axis = tensor_of(arguments["x"]), int(arguments.get("axis", 0))
    return torch.take_along_dim(x, tensor_of(arguments["indices"]).long() % x.shape[axis], axis)


def _depth_to_space(arguments: Arguments) -> torch.Tensor:
    """Channels to pixels as TensorFlow orders them: the block is the outer part of the channels."""
    x, block = tensor_of(arguments["x"]), int(arguments["block_size"])
    count, channels, height, width = x.shape
    split = x.reshape(count, block, block, channels // block**2, height, width).permute(0, 3, 4, 1, 5, 2)
    return split.reshape(count, channels // block**2, height * block, width * block)


def _space_to_depth(arguments: Arguments) -> torch.Tensor:
    x, block = tensor_of(arguments["x"]), int(arguments["block_size"])
    count, channels, height, width = x.shape
    split = x.reshape(count, channels, height // block, block, width // block, block).permute(0, 3, 5, 1, 2, 4)
    return split.reshape(count, channels * block**2, height // block, width // block)


def _pixel_shuffle(arguments: Arguments) -> torch.Tensor:
    return functional.pixel_shuffle(tensor_of(arguments["x"]), int(arguments["upscale_factor"]))


def _pixel_unshuffle(arguments: Arguments) -> torch.Tensor:
    return functional.pixel_unshuffle(tensor_of(arguments["x"]), int(arguments["downscale_factor"]))


OPERATIONS: dict[str, Operation] = {
    "concat": _concat,
    "depth_to_space": _depth_to_space,
    "expand_dims": _expand_dims,
    "flatten2d": _flatten2d,
    "gather": _gather,
    "gather_along_axis": _gather_along_axis,
    "pad": _pad,
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
    "reshape": _reshape,
    "reverse": _reverse,
    "slice_by_index": _slice_by_index,
    "slice_by_size": _slice_by_size,
    "space_to_depth": _space_to_depth,
    "split": _split,
    "squeeze": _squeeze,
    "stack": _stack,
    "tile": _tile,
    "transpose": _transpose,
}

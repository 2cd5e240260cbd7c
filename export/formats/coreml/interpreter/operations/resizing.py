"""MIL ops that resize the last two axes, bilinearly or to the nearest pixel.

Source: coremltools 9, converters/mil/mil/ops/defs/iOS15/image_resizing.py, which gives the grid of each sampling mode.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from export.formats.coreml.interpreter.operations.arguments import Arguments, Operation, tensor_of
from pipeline.errors import UnmeasurableError


def _upsample_bilinear(arguments: Arguments) -> torch.Tensor:
    mode = "STRICT_ALIGN_CORNERS" if bool(arguments.get("align_corners", True)) else "UNALIGN_CORNERS"
    return _bilinear(tensor_of(arguments["x"]), _scaled_size(arguments), mode)


def _resize_bilinear(arguments: Arguments) -> torch.Tensor:
    return _bilinear(tensor_of(arguments["x"]), _target_size(arguments), str(arguments.get("sampling_mode", "DEFAULT")))


def _upsample_nearest_neighbor(arguments: Arguments) -> torch.Tensor:
    return _nearest(tensor_of(arguments["x"]), _scaled_size(arguments))


def _resize_nearest_neighbor(arguments: Arguments) -> torch.Tensor:
    return _nearest(tensor_of(arguments["x"]), _target_size(arguments))


def _target_size(arguments: Arguments) -> tuple[int, int]:
    return int(arguments.get("target_size_height", 1)), int(arguments.get("target_size_width", 1))


def _scaled_size(arguments: Arguments) -> tuple[int, int]:
    height, width = tensor_of(arguments["x"]).shape[-2:]
    scales = float(arguments.get("scale_factor_height", 1)), float(arguments.get("scale_factor_width", 1))
    # A factor such as 7 / 3 is stored rounded: without the margin, 3 pixels would become 6.
    return int(height * scales[0] + 1e-3), int(width * scales[1] + 1e-3)


def _nearest(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Pixel floor(i * input size / output size)."""
    for axis, wanted in zip((-2, -1), size, strict=True):
        x = x.index_select(axis, torch.arange(wanted) * x.shape[axis] // wanted)
    return x


def _bilinear(x: torch.Tensor, size: tuple[int, int], mode: str) -> torch.Tensor:
    for axis, wanted in zip((-2, -1), size, strict=True):
        given = x.shape[axis]
        points = np.clip(_grid(given, wanted, mode), 0, given - 1)
        low = np.floor(points).astype(np.int64)
        share = torch.from_numpy((points - low).astype(np.float32))
        share = share if axis == -1 else share[:, None]
        below = x.index_select(axis, torch.from_numpy(low))
        above = x.index_select(axis, torch.from_numpy(np.minimum(low + 1, given - 1)))
        x = below + (above - below) * share
    return x


def _grid(given: int, wanted: int, mode: str) -> NDArray[np.float64]:
    """Where the ``wanted`` pixels lie among the ``given`` ones, float64 (wanted,)."""
    steps, gaps = np.arange(wanted, dtype=np.float64), max(wanted - 1, 1)
    if mode == "UNALIGN_CORNERS":
        return (steps + 0.5) * given / wanted - 0.5
    if mode == "DEFAULT":
        return steps * given / wanted
    if mode == "OFFSET_CORNERS":
        return (steps + 0.5) * max(1, given - 1) / wanted
    if mode == "ALIGN_CORNERS" and wanted == 1:
        return np.array([(given - 1) / 2])
    if mode in ("ALIGN_CORNERS", "STRICT_ALIGN_CORNERS"):
        return steps * (given - 1) / gaps
    raise UnmeasurableError(f"op resize_bilinear with sampling_mode {mode}; expected one of coremltools' five")


OPERATIONS: dict[str, Operation] = {
    "resize_bilinear": _resize_bilinear,
    "resize_nearest_neighbor": _resize_nearest_neighbor,
    "upsample_bilinear": _upsample_bilinear,
    "upsample_nearest_neighbor": _upsample_nearest_neighbor,
}

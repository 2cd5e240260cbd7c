"""MIL ops that slide a window over the spatial axes: convolutions and pooling.

Padding is ``custom`` (before and after each axis), ``valid`` (none), ``same`` or ``same_lower`` (outputs of
size / stride, rounded up; an odd pixel goes to the end, or to the beginning). Source: coremltools 9,
converters/mil/mil/ops/defs/iOS15: conv.py, pool.py; for a pooling of padded sides with ceil_mode, torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch.nn import functional

from export.formats.coreml.interpreter.operations.arguments import Arguments, Operation, integers, tensor_of
from pipeline.errors import UnmeasurableError

Pairs = list[tuple[int, int]]
"""Padding (before, after) of each spatial axis, first axis first."""
_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_TRANSPOSED = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}


def _conv(arguments: Arguments) -> torch.Tensor:
    """Convolution; weight (out, in / groups, kernel sizes)."""
    x, weight = tensor_of(arguments["x"]), tensor_of(arguments["weight"])
    rank = x.dim() - 2
    strides, dilations = (_per_axis(arguments, name, rank) for name in ("strides", "dilations"))
    reach = [(size - 1) * dilation + 1 for size, dilation in zip(weight.shape[2:], dilations, strict=True)]
    pads = _padding("conv", arguments, x.shape[2:], reach)
    bias = tensor_of(arguments["bias"]) if "bias" in arguments else None
    padding = [before for before, _ in pads]
    if any(before != after for before, after in pads):  # torch can pad both sides of an axis only by the same number
        x, padding = _pad(x, pads, 0.0), [0] * rank
    groups = int(arguments.get("groups", 1))
    return _CONVOLUTIONS[rank](x, weight, bias, strides, padding, dilations, groups)


def _conv_transpose(arguments: Arguments) -> torch.Tensor:
    """Transposed convolution; weight (in, out / groups, kernel sizes). Padding is cut off from the result."""
    x, weight, kind = tensor_of(arguments["x"]), tensor_of(arguments["weight"]), arguments.get("pad_type", "valid")
    rank = x.dim() - 2
    strides, dilations = (_per_axis(arguments, name, rank) for name in ("strides", "dilations"))
    if kind not in ("valid", "custom"):
        raise UnmeasurableError(f"op conv_transpose with pad_type {kind}; expected valid or custom")
    bias = tensor_of(arguments["bias"]) if "bias" in arguments else None
    groups = int(arguments.get("groups", 1))
    pads = _pairs(integers(arguments["pad"])) if kind == "custom" else [(0, 0)] * rank
    whole = [
        (size - 1) * stride + (kernel - 1) * dilation + 1 - before - after
        for size, stride, kernel, dilation, (before, after) in zip(
            x.shape[2:], strides, weight.shape[2:], dilations, pads, strict=True
        )
    ]
    wanted = integers(arguments["output_shape"])[2:] if "output_shape" in arguments else whole
    # What the wanted shape has more at the end is computed there: torch calls it output padding.
    extra = [max(0, size - given - after) for size, given, (_, after) in zip(wanted, whole, pads, strict=True)]
    result = _TRANSPOSED[rank](x, weight, bias, strides, [0] * rank, extra, groups, dilations)
    for axis, ((before, _), size) in enumerate(zip(pads, wanted, strict=True)):
        result = result.narrow(2 + axis, before, size)
    return result


def _max_pool(arguments: Arguments) -> torch.Tensor:
    pads, extra = _pool_padding("max_pool", arguments)
    return _pool(_pad(tensor_of(arguments["x"]), _sum(pads, extra), -math.inf), arguments, torch.amax)


def _avg_pool(arguments: Arguments) -> torch.Tensor:
    """Mean of the window; padding counts as zeros unless excluded, what ceil_mode adds never counts."""
    x = tensor_of(arguments["x"])
    pads, extra = _pool_padding("avg_pool", arguments)
    total = _pool(_pad(x, _sum(pads, extra), 0.0), arguments, torch.sum)
    counted = 0.0 if bool(arguments.get("exclude_padding_from_average", False)) else 1.0
    ones = _pad(_pad(torch.ones_like(x[:1, :1]), pads, counted), extra, 0.0)
    return total / _pool(ones, arguments, torch.sum)


def _l2_pool(arguments: Arguments) -> torch.Tensor:
    pads, extra = _pool_padding("l2_pool", arguments)
    return torch.sqrt(_pool(_pad(tensor_of(arguments["x"]).square(), _sum(pads, extra), 0.0), arguments, torch.sum))


def _pool(x: torch.Tensor, arguments: Arguments, reduce: Callable[..., torch.Tensor]) -> torch.Tensor:
    """Reduce every window of a padded tensor."""
    kernel = integers(arguments["kernel_sizes"])
    for axis, (size, stride) in enumerate(zip(kernel, _per_axis(arguments, "strides", len(kernel)), strict=True)):
        x = reduce(x.unfold(2 + axis, size, stride), dim=-1)
    return x


def _pool_padding(kind: str, arguments: Arguments) -> tuple[Pairs, Pairs]:
    """Declared padding, and what ceil_mode adds at the end so that the last, partial window is computed."""
    sizes, kernel = tensor_of(arguments["x"]).shape[2:], integers(arguments["kernel_sizes"])
    pads = _padding(kind, arguments, sizes, kernel)
    extra: Pairs = [(0, 0)] * len(kernel)
    if bool(arguments.get("ceil_mode", False)) and arguments.get("pad_type", "valid") in ("valid", "custom"):
        strides = _per_axis(arguments, "strides", len(kernel))
        extra = [_to_ceil(*each) for each in zip(sizes, pads, kernel, strides, strict=True)]
    return pads, extra


def _to_ceil(size: int, pads: tuple[int, int], kernel: int, stride: int) -> tuple[int, int]:
    padded = size + sum(pads)
    count = -(-(padded - kernel) // stride) + 1
    if (count - 1) * stride >= size + pads[0]:  # a window that begins in the padding at the end is left out
        count -= 1
    return 0, max(0, (count - 1) * stride + kernel - padded)


def _padding(kind: str, arguments: Arguments, sizes: Sequence[int], reach: Sequence[int]) -> Pairs:
    """Padding by ``pad_type``; ``reach``: pixels that a window covers on each axis."""
    pad_type = arguments.get("pad_type", "valid")
    if pad_type == "valid":
        return [(0, 0)] * len(reach)
    if pad_type == "custom":
        return _pairs(integers(arguments.get("pad", [0] * (2 * len(reach)))))
    if pad_type not in ("same", "same_lower"):
        raise UnmeasurableError(f"op {kind} with pad_type {pad_type}; expected valid, custom, same or same_lower")
    pairs: Pairs = []
    for size, stride, covered in zip(sizes, _per_axis(arguments, "strides", len(reach)), reach, strict=True):
        total = max(0, (-(-size // stride) - 1) * stride + covered - size)
        pair = total // 2, total - total // 2
        pairs.append(pair if pad_type == "same" else pair[::-1])
    return pairs


def _pad(x: torch.Tensor, pads: Pairs, value: float) -> torch.Tensor:
    return functional.pad(x, [side for pair in pads[::-1] for side in pair], value=value) if _any(pads) else x


def _any(pads: Pairs) -> bool:
    return any(side for pair in pads for side in pair)


def _sum(first: Pairs, second: Pairs) -> Pairs:
    return [(a + c, b + d) for (a, b), (c, d) in zip(first, second, strict=True)]


def _pairs(sides: Sequence[int]) -> Pairs:
    return list(zip(sides[::2], sides[1::2], strict=True))


def _per_axis(arguments: Arguments, name: str, rank: int) -> list[int]:
    """Strides or dilations, one per spatial axis; ones where they are not given."""
    return integers(arguments.get(name, [1] * rank))


OPERATIONS: dict[str, Operation] = {
    "avg_pool": _avg_pool,
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "l2_pool": _l2_pool,
    "max_pool": _max_pool,
}

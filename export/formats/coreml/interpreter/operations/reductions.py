"""MIL ops that compute one number from many: reductions, softmax and normalisation.

Source: coremltools 9, converters/mil/mil/ops/defs/iOS15: reduction.py, normalization.py, activation.py (softmax).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from export.formats.coreml.interpreter.operations.arguments import (
    OUTPUT_INDEX,
    Arguments,
    Operation,
    axes_of,
    tensor_of,
)


def _reduction(function: Callable[..., torch.Tensor]) -> Operation:
    def run(arguments: Arguments) -> torch.Tensor:
        x = tensor_of(arguments["x"])
        return function(x, dim=axes_of(arguments, x.dim()), keepdim=bool(arguments.get("keep_dims", False)))

    return run


def _product(x: torch.Tensor, dim: list[int], keepdim: bool) -> torch.Tensor:
    """``torch.prod`` over several axes."""
    axes = sorted((axis % x.dim() for axis in dim), reverse=True)
    for axis in axes:
        x = torch.prod(x, dim=axis, keepdim=keepdim)
    return x


def _best(function: Callable[..., torch.Tensor]) -> Operation:
    def run(arguments: Arguments) -> torch.Tensor:
        keep = bool(arguments.get("keep_dims", False))
        return function(tensor_of(arguments["x"]), dim=int(arguments.get("axis", -1)), keepdim=keep).float()

    return run


def _softmax(arguments: Arguments) -> torch.Tensor:
    return torch.softmax(tensor_of(arguments["x"]), dim=int(arguments.get("axis", -1)))


def _batch_norm(arguments: Arguments) -> torch.Tensor:
    """Normalise by given statistics of each channel, the second axis."""
    mean, variance = tensor_of(arguments["mean"]), tensor_of(arguments["variance"])
    gamma, beta = (tensor_of(arguments[name]) if name in arguments else None for name in ("gamma", "beta"))
    epsilon = float(arguments.get("epsilon", 1e-5))
    return functional.batch_norm(tensor_of(arguments["x"]), mean, variance, gamma, beta, eps=epsilon)


def _layer_norm(arguments: Arguments) -> torch.Tensor:
    """Normalise over ``axes``; gamma and beta have the sizes of these axes, in the order of the tensor's axes."""
    x = tensor_of(arguments["x"])
    axes = sorted(axis % x.dim() for axis in axes_of(arguments, x.dim()))
    return _normalise(x, axes, arguments, [x.shape[axis] if axis in axes else 1 for axis in range(x.dim())])


def _instance_norm(arguments: Arguments) -> torch.Tensor:
    """Normalise each channel of each image; gamma and beta have one number per channel."""
    x = tensor_of(arguments["x"])
    return _normalise(x, list(range(2, x.dim())), arguments, [1, -1] + [1] * (x.dim() - 2))


def _normalise(x: torch.Tensor, axes: list[int], arguments: Arguments, shape: list[int]) -> torch.Tensor:
    variance, mean = torch.var_mean(x, dim=axes, correction=0, keepdim=True)
    result = (x - mean) / torch.sqrt(variance + float(arguments.get("epsilon", 1e-5)))
    if "gamma" in arguments:
        result = result * tensor_of(arguments["gamma"]).reshape(shape)
    return result + tensor_of(arguments["beta"]).reshape(shape) if "beta" in arguments else result


def _l2_norm(arguments: Arguments) -> torch.Tensor:
    """Divide by the length of the vector that the last three axes form."""
    x = tensor_of(arguments["x"])
    total = x.square().sum(dim=(-3, -2, -1), keepdim=True)
    return x / torch.sqrt(total + float(arguments.get("epsilon", 1e-6)))


def _cumsum(arguments: Arguments) -> torch.Tensor:
    x, axis = tensor_of(arguments["x"]), int(arguments.get("axis", 0))
    reverse = bool(arguments.get("reverse", False))
    x = x.flip(axis) if reverse else x
    total = torch.cumsum(x, axis) - (x if bool(arguments.get("exclusive", False)) else 0)
    return total.flip(axis) if reverse else total


def _topk(arguments: Arguments) -> torch.Tensor:
    """Greatest (or smallest) ``k`` values, then their positions: the first or the second output."""
    k, axis = int(arguments.get("k", 1)), int(arguments.get("axis", -1))
    found = torch.topk(tensor_of(arguments["x"]), k, axis, largest=not bool(arguments.get("ascending", False)))
    return found[int(arguments.get(OUTPUT_INDEX, 0))].float()


def _log_sum(x: torch.Tensor, dim: list[int], keepdim: bool) -> torch.Tensor:
    return torch.log(torch.sum(x, dim=dim, keepdim=keepdim))


def _l1(x: torch.Tensor, dim: list[int], keepdim: bool) -> torch.Tensor:
    return torch.sum(x.abs(), dim=dim, keepdim=keepdim)


def _sum_square(x: torch.Tensor, dim: list[int], keepdim: bool) -> torch.Tensor:
    return torch.sum(x.square(), dim=dim, keepdim=keepdim)


def _l2(x: torch.Tensor, dim: list[int], keepdim: bool) -> torch.Tensor:
    return torch.sqrt(_sum_square(x, dim, keepdim))


OPERATIONS: dict[str, Operation] = {
    "batch_norm": _batch_norm,
    "cumsum": _cumsum,
    "instance_norm": _instance_norm,
    "l2_norm": _l2_norm,
    "layer_norm": _layer_norm,
    "reduce_argmax": _best(torch.argmax),
    "reduce_argmin": _best(torch.argmin),
    "reduce_l1_norm": _reduction(_l1),
    "reduce_l2_norm": _reduction(_l2),
    "reduce_log_sum": _reduction(_log_sum),
    "reduce_log_sum_exp": _reduction(torch.logsumexp),
    "reduce_max": _reduction(torch.amax),
    "reduce_mean": _reduction(torch.mean),
    "reduce_min": _reduction(torch.amin),
    "reduce_prod": _reduction(_product),
    "reduce_sum": _reduction(torch.sum),
    "reduce_sum_square": _reduction(_sum_square),
    "softmax": _softmax,
    "topk": _topk,
}

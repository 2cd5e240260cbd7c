"""MIL ops that multiply matrices.

Source: coremltools 9, converters/mil/mil/ops/defs: iOS15/linear.py, iOS18/transformers.py.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from export.formats.coreml.interpreter.operations.arguments import Arguments, Operation, members, tensor_of


def _linear(arguments: Arguments) -> torch.Tensor:
    bias = tensor_of(arguments["bias"]) if "bias" in arguments else None
    return functional.linear(tensor_of(arguments["x"]), tensor_of(arguments["weight"]), bias)


def _matmul(arguments: Arguments) -> torch.Tensor:
    """Product with NumPy's rules for batches and vectors; a transposition swaps the last two axes of a matrix."""
    x, y = (_transposed(arguments, name) for name in ("x", "y"))
    return torch.matmul(x, y)


def _transposed(arguments: Arguments, name: str) -> torch.Tensor:
    value = tensor_of(arguments[name])
    swap = bool(arguments.get(f"transpose_{name}", False)) and value.dim() > 1
    return value.transpose(-1, -2) if swap else value


def _einsum(arguments: Arguments) -> torch.Tensor:
    return torch.einsum(str(arguments["equation"]), *members(arguments, "values"))


def _attention(arguments: Arguments) -> torch.Tensor:
    """Compute softmax(query key^T / sqrt(width) + mask) value; False in a mask of truth values excludes a key."""
    query, key, value = (tensor_of(arguments[name]) for name in ("query", "key", "value"))
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    if "attn_mask" in arguments:
        mask = arguments["attn_mask"]
        boolean = not isinstance(mask, torch.Tensor) and mask.dtype == bool
        mask = tensor_of(mask)
        scores = scores.masked_fill(mask == 0, -math.inf) if boolean else scores + mask
    return torch.softmax(scores, dim=-1) @ value


OPERATIONS: dict[str, Operation] = {
    "einsum": _einsum,
    "linear": _linear,
    "matmul": _matmul,
    "scaled_dot_product_attention": _attention,
}

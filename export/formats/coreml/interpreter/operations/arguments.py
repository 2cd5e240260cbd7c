"""Types of an op's arguments, and their conversion: activations are float32 tensors, constants arrays or text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

Arguments = Mapping[str, Any]
"""MIL name -> activation (tensor), or constant (array, text or list). An argument that is a tuple of values has one
entry per value, as ``member_name`` gives them."""
Operation = Callable[[Arguments], torch.Tensor]
OUTPUT_INDEX = "output_index"
"""Argument that says which output is wanted of an op that has several."""


def tensor_of(value: Any) -> torch.Tensor:  # noqa: ANN401 - an array or a tensor
    """Convert a constant to a float32 tensor; a tensor is returned unchanged."""
    return value if isinstance(value, torch.Tensor) else torch.from_numpy(np.asarray(value, np.float32))


def integers(values: Any) -> list[int]:  # noqa: ANN401 - an array or a tuple
    """Convert a constant of any shape to a list of integers."""
    return [int(value) for value in np.asarray(values).ravel()]


def flags(arguments: Arguments, name: str, count: int) -> list[bool]:
    """Read a mask of ``count`` booleans; all False where it is not given."""
    return [bool(value) for value in np.asarray(arguments.get(name, [False] * count)).ravel()]


def member_name(name: str, index: int) -> str:
    """Name of one value of an argument that is a tuple of values."""
    return f"{name}[{index}]"


def members(arguments: Arguments, name: str) -> list[torch.Tensor]:
    """Collect an argument that is a tuple of values."""
    values: list[torch.Tensor] = []
    while member_name(name, len(values)) in arguments:
        values.append(tensor_of(arguments[member_name(name, len(values))]))
    return values or [tensor_of(arguments[name])]


def axes_of(arguments: Arguments, rank: int) -> list[int]:
    """Read ``axes``; all axes where none are given."""
    return integers(arguments["axes"]) if "axes" in arguments else list(range(rank))

"""Element-wise MIL ops: arithmetic with broadcasting, comparisons (0 or 1), functions and activations.

Source: coremltools 9, converters/mil/mil/ops/defs/iOS15: elementwise_binary.py, elementwise_unary.py, activation.py.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from export.formats.coreml.interpreter.operations.arguments import Arguments, Operation, tensor_of
from pipeline.errors import UnmeasurableError

_CASTS = ("fp16", "fp32", "int32", "bool")


def _unary(function: Callable[[torch.Tensor], torch.Tensor]) -> Operation:
    return lambda arguments: function(tensor_of(arguments["x"]))


def _binary(function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Operation:
    return lambda arguments: function(tensor_of(arguments["x"]), tensor_of(arguments["y"])).float()


def _cast(arguments: Arguments) -> torch.Tensor:
    """Round to an integer towards zero, or to a truth value; halves are rounded where the output is declared so."""
    x, dtype = tensor_of(arguments["x"]), arguments["dtype"]
    if dtype not in _CASTS:
        raise UnmeasurableError(f"op cast to {dtype}; expected one of {', '.join(_CASTS)}")
    if dtype == "bool":
        return (x != 0).float()
    return torch.trunc(x) if dtype == "int32" else x


def _clip(arguments: Arguments) -> torch.Tensor:
    return torch.clamp(tensor_of(arguments["x"]), float(arguments["alpha"]), float(arguments["beta"]))


def _select(arguments: Arguments) -> torch.Tensor:
    return torch.where(tensor_of(arguments["cond"]) != 0, tensor_of(arguments["a"]), tensor_of(arguments["b"]))


def _inverse(arguments: Arguments) -> torch.Tensor:
    return 1 / (tensor_of(arguments["x"]) + float(arguments.get("epsilon", 1e-4)))


def _rsqrt(arguments: Arguments) -> torch.Tensor:
    return torch.rsqrt(tensor_of(arguments["x"]) + float(arguments.get("epsilon", 1e-12)))


def _log(arguments: Arguments) -> torch.Tensor:
    return torch.log(tensor_of(arguments["x"]) + float(arguments.get("epsilon", 1e-45)))


def _threshold(arguments: Arguments) -> torch.Tensor:
    return torch.clamp(tensor_of(arguments["x"]), min=float(arguments["alpha"]))


def _thresholded_relu(arguments: Arguments) -> torch.Tensor:
    x = tensor_of(arguments["x"])
    return torch.where(x >= float(arguments["alpha"]), x, torch.zeros_like(x))


def _clamped_relu(arguments: Arguments) -> torch.Tensor:
    return torch.clamp(_leaky_relu(arguments), max=float(arguments["beta"]))


def _leaky_relu(arguments: Arguments) -> torch.Tensor:
    return functional.leaky_relu(tensor_of(arguments["x"]), float(arguments["alpha"]))


def _elu(arguments: Arguments) -> torch.Tensor:
    return functional.elu(tensor_of(arguments["x"]), float(arguments["alpha"]))


def _prelu(arguments: Arguments) -> torch.Tensor:
    return functional.prelu(tensor_of(arguments["x"]), tensor_of(arguments["alpha"]))


def _linear_activation(arguments: Arguments) -> torch.Tensor:
    return float(arguments["alpha"]) * tensor_of(arguments["x"]) + float(arguments.get("beta", 0))


def _scaled_tanh(arguments: Arguments) -> torch.Tensor:
    return float(arguments["alpha"]) * torch.tanh(float(arguments["beta"]) * tensor_of(arguments["x"]))


def _sigmoid_hard(arguments: Arguments) -> torch.Tensor:
    return torch.clamp(float(arguments["alpha"]) * tensor_of(arguments["x"]) + float(arguments["beta"]), 0.0, 1.0)


def _gelu(arguments: Arguments) -> torch.Tensor:
    x, mode = tensor_of(arguments["x"]), arguments.get("mode", "EXACT")
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    if mode not in ("EXACT", "TANH_APPROXIMATION"):
        raise UnmeasurableError(f"op gelu with mode {mode}; expected EXACT or an approximation by TANH or SIGMOID")
    return functional.gelu(x, approximate="none" if mode == "EXACT" else "tanh")


OPERATIONS: dict[str, Operation] = {
    "abs": _unary(torch.abs),
    "add": _binary(torch.add),
    "cast": _cast,
    "ceil": _unary(torch.ceil),
    "clamped_relu": _clamped_relu,
    "clip": _clip,
    "cos": _unary(torch.cos),
    "elu": _elu,
    "equal": _binary(torch.eq),
    "erf": _unary(torch.erf),
    "exp": _unary(torch.exp),
    "exp2": _unary(torch.exp2),
    "floor": _unary(torch.floor),
    "floor_div": _binary(torch.floor_divide),
    "gelu": _gelu,
    "greater": _binary(torch.gt),
    "greater_equal": _binary(torch.ge),
    "identity": _unary(torch.clone),
    "inverse": _inverse,
    "leaky_relu": _leaky_relu,
    "less": _binary(torch.lt),
    "less_equal": _binary(torch.le),
    "linear_activation": _linear_activation,
    "log": _log,
    "logical_and": _binary(torch.logical_and),
    "logical_not": _unary(lambda x: (x == 0).float()),
    "logical_or": _binary(torch.logical_or),
    "logical_xor": _binary(torch.logical_xor),
    "maximum": _binary(torch.maximum),
    "minimum": _binary(torch.minimum),
    "mod": _binary(torch.remainder),
    "mul": _binary(torch.mul),
    "not_equal": _binary(torch.ne),
    "pow": _binary(torch.pow),
    "prelu": _prelu,
    "real_div": _binary(torch.div),
    "relu": _unary(functional.relu),
    "relu6": _unary(functional.relu6),
    "round": _unary(torch.round),
    "rsqrt": _rsqrt,
    "scaled_tanh": _scaled_tanh,
    "select": _select,
    "sigmoid": _unary(torch.sigmoid),
    "sigmoid_hard": _sigmoid_hard,
    "sign": _unary(torch.sign),
    "silu": _unary(functional.silu),
    "sin": _unary(torch.sin),
    "softplus": _unary(functional.softplus),
    "softsign": _unary(functional.softsign),
    "sqrt": _unary(torch.sqrt),
    "square": _unary(torch.square),
    "sub": _binary(torch.sub),
    "tanh": _unary(torch.tanh),
    "threshold": _threshold,
    "thresholded_relu": _thresholded_relu,
}

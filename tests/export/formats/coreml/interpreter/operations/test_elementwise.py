"""Element-wise ops: programs built with coremltools, compared with torch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.nn import functional

from export.formats.coreml.interpreter.operations import OPERATIONS
from pipeline.errors import UnmeasurableError
from tests.export.formats.coreml.interpreter.mil_program import HALF, Build, check, run_mil

X = torch.linspace(-3, 3, 24).reshape(2, 3, 4)
POSITIVE = X.abs() + 0.1
ROW = torch.tensor([0.5, -2.0, 1.5, 3.0])

UNARY: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "abs": torch.abs,
    "ceil": torch.ceil,
    "cos": torch.cos,
    "erf": torch.erf,
    "exp": torch.exp,
    "exp2": torch.exp2,
    "floor": torch.floor,
    "identity": torch.clone,
    "relu": functional.relu,
    "relu6": functional.relu6,
    "round": torch.round,
    "sigmoid": torch.sigmoid,
    "sign": torch.sign,
    "silu": functional.silu,
    "sin": torch.sin,
    "softplus": functional.softplus,
    "softsign": functional.softsign,
    "square": torch.square,
    "tanh": torch.tanh,
}
BINARY: dict[str, Callable[..., torch.Tensor]] = {
    "add": torch.add,
    "equal": torch.eq,
    "floor_div": torch.floor_divide,
    "greater": torch.gt,
    "greater_equal": torch.ge,
    "less": torch.lt,
    "less_equal": torch.le,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "mod": torch.remainder,
    "mul": torch.mul,
    "not_equal": torch.ne,
    "real_div": torch.div,
    "sub": torch.sub,
}


@pytest.mark.parametrize("kind", UNARY)
def test_a_function_equals_torchs(kind: str) -> None:
    check(lambda mb, x: getattr(mb, kind)(x=x), UNARY[kind], X * 2)


@pytest.mark.parametrize("kind", BINARY)
def test_two_tensors_are_broadcast(kind: str) -> None:
    check(lambda mb, x, y: getattr(mb, kind)(x=x, y=y), BINARY[kind], X, ROW)


def test_a_constant_may_be_on_either_side() -> None:
    check(lambda mb, x: mb.real_div(x=2.0, y=x), lambda x: 2 / x, X)
    check(lambda mb, x: mb.sub(x=x, y=ROW.numpy()), lambda x: x - ROW, X)


def test_functions_of_positive_numbers_equal_torchs() -> None:
    check(lambda mb, x: mb.sqrt(x=x), torch.sqrt, POSITIVE)
    check(lambda mb, x: mb.pow(x=x, y=1.7), lambda x: x**1.7, POSITIVE)
    check(lambda mb, x: mb.log(x=x, epsilon=0.25), lambda x: torch.log(x + 0.25), POSITIVE)


def test_epsilon_is_added_before_the_reciprocal() -> None:
    check(lambda mb, x: mb.rsqrt(x=x, epsilon=0.5), lambda x: 1 / torch.sqrt(x + 0.5), POSITIVE)
    check(lambda mb, x: mb.rsqrt(x=x), torch.rsqrt, POSITIVE)
    check(lambda mb, x: mb.inverse(x=x), lambda x: 1 / (x + 1e-4), POSITIVE)


ACTIVATIONS: dict[str, tuple[Build, Callable[[torch.Tensor], torch.Tensor]]] = {
    "clip": (lambda mb, x: mb.clip(x=x, alpha=-1.0, beta=2.0), lambda x: x.clamp(-1, 2)),
    "clamped_relu": (
        lambda mb, x: mb.clamped_relu(x=x, alpha=0.5, beta=1.0),
        lambda x: torch.where(x >= 0, x, 0.5 * x).clamp(max=1.0),
    ),
    "elu": (lambda mb, x: mb.elu(x=x, alpha=0.7), lambda x: functional.elu(x, 0.7)),
    "leaky_relu": (lambda mb, x: mb.leaky_relu(x=x, alpha=0.1), lambda x: functional.leaky_relu(x, 0.1)),
    "linear_activation": (lambda mb, x: mb.linear_activation(x=x, alpha=2.0, beta=1.0), lambda x: 2 * x + 1),
    "prelu": (
        lambda mb, x: mb.squeeze(x=mb.prelu(x=mb.expand_dims(x=x, axes=[3]), alpha=ROW[:3].numpy()), axes=[3]),
        lambda x: functional.prelu(x, ROW[:3]),
    ),
    "scaled_tanh": (lambda mb, x: mb.scaled_tanh(x=x, alpha=2.0, beta=0.5), lambda x: 2 * torch.tanh(x / 2)),
    "threshold": (lambda mb, x: mb.threshold(x=x, alpha=0.3), lambda x: x.clamp(min=0.3)),
    "thresholded_relu": (lambda mb, x: mb.thresholded_relu(x=x, alpha=0.3), lambda x: torch.where(x >= 0.3, x, 0.0)),
    "sigmoid_hard": (
        lambda mb, x: mb.mul(x=x, y=mb.sigmoid_hard(x=x, alpha=1 / 6, beta=0.5)),
        functional.hardswish,
    ),
    "gelu exact": (lambda mb, x: mb.gelu(x=x), functional.gelu),
    "gelu tanh": (
        lambda mb, x: mb.gelu(x=x, mode="TANH_APPROXIMATION"),
        lambda x: functional.gelu(x, approximate="tanh"),
    ),
    "gelu sigmoid": (
        lambda mb, x: mb.gelu(x=x, mode="SIGMOID_APPROXIMATION"),
        lambda x: x * torch.sigmoid(1.702 * x),
    ),
    "select": (
        lambda mb, x: mb.select(cond=mb.logical_not(x=mb.greater(x=x, y=1.0)), a=x, b=7.0),
        lambda x: torch.where(x > 1, 7.0, x),
    ),
    "cast": (lambda mb, x: mb.cast(x=mb.cast(x=x, dtype="int32"), dtype="fp32"), torch.trunc),
}


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_an_activation_equals_its_formula(kind: str) -> None:
    build, expected = ACTIVATIONS[kind]
    check(build, expected, X)


@pytest.mark.parametrize("kind", ["logical_and", "logical_or", "logical_xor"])
def test_truth_values_are_combined(kind: str) -> None:
    def build(mb: object, x: object) -> object:
        both = (getattr(mb, name)(x=x, y=0.5) for name in ("greater", "less_equal"))
        return mb.cast(x=getattr(mb, kind)(**dict(zip("xy", both, strict=True))), dtype="fp32")  # type: ignore[attr-defined]

    (found,) = run_mil(build, X)
    assert found.unique().tolist() == [0.0 if kind == "logical_and" else 1.0]


def test_results_declared_as_halves_are_rounded_to_halves() -> None:
    (rounded,) = run_mil(lambda mb, x: mb.gelu(x=x), X.to(HALF))
    (exact,) = run_mil(lambda mb, x: mb.gelu(x=x), X.to(HALF), mode="float32")
    assert torch.equal(rounded, exact.half().float())
    assert not torch.equal(rounded, exact)


def test_modes_that_are_not_implemented_are_named() -> None:
    with pytest.raises(UnmeasurableError, match="cast to uint8; expected one of fp16, fp32, int32, bool"):
        OPERATIONS["cast"]({"x": X, "dtype": "uint8"})
    with pytest.raises(UnmeasurableError, match="gelu with mode FAST"):
        OPERATIONS["gelu"]({"x": X, "mode": "FAST"})

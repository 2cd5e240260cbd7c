"""Convolutions and pooling: programs built with coremltools, compared with torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from export.formats.coreml.interpreter.operations import OPERATIONS
from pipeline.errors import UnmeasurableError
from tests.export.formats.coreml.interpreter.mil_program import check

X = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 4, 7, 6)).astype(np.float32))
LINE = X.reshape(1, 4, 42)


def random_weight(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).normal(size=shape).astype(np.float32))


@pytest.mark.parametrize("groups", [1, 4])
def test_conv_pads_each_side_by_its_own_number(groups: int) -> None:
    weight, bias = random_weight(8, 4 // groups, 3, 3), random_weight(8)
    given = {"pad_type": "custom", "pad": [0, 1, 2, 0], "strides": [2, 1], "groups": groups}
    check(
        lambda mb, x: mb.conv(x=x, weight=weight.numpy(), bias=bias.numpy(), **given),
        lambda x: functional.conv2d(functional.pad(x, (2, 0, 0, 1)), weight, bias, stride=(2, 1), groups=groups),
        X,
    )


def test_conv_is_dilated() -> None:
    weight = random_weight(2, 4, 3, 2)
    check(
        lambda mb, x: mb.conv(x=x, weight=weight.numpy(), dilations=[2, 3]),
        lambda x: functional.conv2d(x, weight, dilation=(2, 3)),
        X,
    )


def test_conv_runs_along_one_axis() -> None:
    weight = random_weight(2, 4, 5)
    check(
        lambda mb, x: mb.conv(x=x, weight=weight.numpy(), pad_type="same", strides=[2]),
        lambda x: functional.conv1d(functional.pad(x, (1, 2)), weight, stride=2),
        LINE,
    )


@pytest.mark.parametrize(("size", "stride"), [(6, 2), (7, 2), (7, 1), (5, 3)])
@pytest.mark.parametrize("kind", ["same", "same_lower"])
def test_same_padding_covers_the_input_and_puts_an_odd_pixel_at_one_end(size: int, stride: int, kind: str) -> None:
    x = torch.arange(size * size, dtype=torch.float32).reshape(1, 1, size, size)
    weight = random_weight(1, 1, 3, 3)
    total = max(0, (-(-size // stride) - 1) * stride + 3 - size)
    sides = [total // 2, total - total // 2][:: 1 if kind == "same" else -1]
    check(
        lambda mb, x: mb.conv(x=x, weight=weight.numpy(), pad_type=kind, strides=[stride] * 2),
        lambda x: functional.conv2d(functional.pad(x, sides * 2), weight, stride=stride),
        x,
    )


@pytest.mark.parametrize("kind", ["conv", "conv_transpose", "max_pool"])
def test_an_unknown_padding_is_refused(kind: str) -> None:
    given = {"x": X, "weight": np.ones((4, 4, 1, 1)), "kernel_sizes": [2, 2], "pad_type": "circular"}
    with pytest.raises(UnmeasurableError, match=f"op {kind} with pad_type circular"):
        OPERATIONS[kind](given)


def test_conv_transpose_equals_torchs() -> None:
    weight, bias = random_weight(4, 3, 3, 3), random_weight(6)
    check(
        lambda mb, x: mb.conv_transpose(
            x=x, weight=weight.numpy(), bias=bias.numpy(), strides=[2, 2], pad=[1, 1, 1, 1], pad_type="custom", groups=2
        ),
        lambda x: functional.conv_transpose2d(x, weight, bias, stride=2, padding=1, groups=2),
        X,
    )
    check(
        lambda mb, x: mb.conv_transpose(
            x=x,
            weight=weight.numpy(),
            strides=[2, 2],
            pad=[1, 1, 1, 1],
            pad_type="custom",
            output_shape=[1, 3, 14, 12],
        ),
        lambda x: functional.conv_transpose2d(x, weight, stride=2, padding=1, output_padding=1),
        X,
    )


POOLS: dict[str, tuple[dict[str, Any], Callable[[torch.Tensor, str], torch.Tensor]]] = {
    "valid": (
        {"kernel_sizes": [3, 2], "strides": [2, 1], "pad_type": "valid"},
        lambda x, kind: pool(x, kind, (3, 2), (2, 1)),
    ),
    "strides of one": ({"kernel_sizes": [2, 2], "pad_type": "valid"}, lambda x, kind: pool(x, kind, 2, 1)),
    "padded": (
        {"kernel_sizes": [3, 3], "strides": [2, 2], "pad_type": "custom", "pad": [1, 1, 1, 1]},
        lambda x, kind: pool(x, kind, 3, 2, padding=1),
    ),
    "ceil_mode": (
        {"kernel_sizes": [2, 3], "strides": [2, 2], "pad_type": "valid", "ceil_mode": True},
        lambda x, kind: pool(x, kind, (2, 3), 2, ceil_mode=True),
    ),
    "padded ceil_mode": (
        {"kernel_sizes": [3, 2], "strides": [3, 3], "pad_type": "custom", "pad": [1, 1, 1, 1], "ceil_mode": True},
        lambda x, kind: pool(x, kind, (3, 2), 3, padding=1, ceil_mode=True),
    ),
}


def pool(x: torch.Tensor, kind: str, *sizes: Any, **options: Any) -> torch.Tensor:
    return (functional.max_pool2d if kind == "max_pool" else functional.avg_pool2d)(x, *sizes, **options)


@pytest.mark.parametrize("kind", ["max_pool", "avg_pool"])
@pytest.mark.parametrize("case", POOLS)
def test_pooling_equals_torchs(kind: str, case: str) -> None:
    given, expected = POOLS[case]
    check(lambda mb, x: getattr(mb, kind)(x=x, **given), lambda x: expected(x, kind), X - 5)


@pytest.mark.parametrize("ceil", [False, True])
def test_padding_can_be_excluded_from_an_average(ceil: bool) -> None:
    given = {"kernel_sizes": [3, 3], "strides": [2, 2], "pad_type": "custom", "pad": [1, 1, 1, 1], "ceil_mode": ceil}
    check(
        lambda mb, x: mb.avg_pool(x=x, exclude_padding_from_average=True, **given),
        lambda x: functional.avg_pool2d(x, 3, 2, 1, ceil_mode=ceil, count_include_pad=False),
        X,
    )


def test_same_pooling_pads_an_odd_pixel_at_the_end() -> None:
    check(
        lambda mb, x: mb.max_pool(x=x, kernel_sizes=[2, 2], strides=[2, 2], pad_type="same"),
        lambda x: functional.max_pool2d(functional.pad(x, (0, 0, 0, 1), value=-torch.inf), 2),
        X,
    )


def test_l2_pooling_and_pooling_along_one_axis_equal_torchs() -> None:
    check(
        lambda mb, x: mb.l2_pool(x=x, kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid"),
        lambda x: functional.lp_pool2d(x, 2, 2),
        X,
    )
    check(
        lambda mb, x: mb.avg_pool(x=x, kernel_sizes=[5], strides=[3], pad_type="valid"),
        lambda x: functional.avg_pool1d(x, 5, 3),
        LINE,
    )

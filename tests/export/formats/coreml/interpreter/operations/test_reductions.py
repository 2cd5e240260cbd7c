"""Reductions and normalisation: programs built with coremltools, compared with torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional

from tests.export.formats.coreml.interpreter.mil_program import check

X = torch.sin(torch.arange(120, dtype=torch.float32)).reshape(2, 3, 4, 5)
ONES = torch.linspace(0.5, 2, 20).reshape(4, 5)
GAMMA, BETA = torch.tensor([0.5, 1.0, 2.0]), torch.tensor([1.0, 0.0, -1.0])

REDUCTIONS: dict[str, Callable[..., torch.Tensor]] = {
    "reduce_l1_norm": lambda x, **how: x.abs().sum(**how),
    "reduce_l2_norm": torch.linalg.vector_norm,
    "reduce_log_sum_exp": torch.logsumexp,
    "reduce_max": torch.amax,
    "reduce_mean": torch.mean,
    "reduce_min": torch.amin,
    "reduce_sum": torch.sum,
    "reduce_sum_square": lambda x, **how: x.square().sum(**how),
}


@pytest.mark.parametrize("kind", REDUCTIONS)
@pytest.mark.parametrize("keep", [True, False])
def test_a_reduction_keeps_dimensions_only_on_request(kind: str, keep: bool) -> None:
    check(
        lambda mb, x: getattr(mb, kind)(x=x, axes=[-1, 1], keep_dims=keep),
        lambda x: REDUCTIONS[kind](x, dim=[-1, 1], keepdim=keep),
        X,
    )


def test_without_axes_all_are_reduced() -> None:
    check(lambda mb, x: mb.reduce_mean(x=x, keep_dims=True), lambda x: x.mean(dim=[0, 1, 2, 3], keepdim=True), X)


def test_products_and_logarithms_of_sums_equal_torchs() -> None:
    check(lambda mb, x: mb.reduce_prod(x=x, axes=[0, 2], keep_dims=False), lambda x: x.prod(2).prod(0), X)
    check(lambda mb, x: mb.reduce_log_sum(x=x, axes=[2], keep_dims=False), lambda x: x.sum(2).log(), X + 2)


def test_positions_of_extremes_equal_torchs() -> None:
    check(lambda mb, x: mb.reduce_argmax(x=x, axis=1, keep_dims=True), lambda x: x.argmax(1, keepdim=True), X)
    check(lambda mb, x: mb.reduce_argmin(x=x, axis=-1, keep_dims=False), lambda x: x.argmin(-1), X)
    check(lambda mb, x: mb.topk(x=x, k=2, axis=2), lambda x: tuple(torch.topk(x, 2, 2)), X)


@pytest.mark.parametrize("axis", [-1, 1])
def test_softmax_sums_to_one_along_its_axis(axis: int) -> None:
    check(lambda mb, x: mb.softmax(x=x, axis=axis), lambda x: torch.softmax(x, axis), X)


def test_batch_norm_uses_the_given_statistics() -> None:
    mean, variance = torch.tensor([0.1, -0.2, 0.3]), torch.tensor([0.5, 1.0, 2.0])
    given = {"mean": mean.numpy(), "variance": variance.numpy()}
    check(
        lambda mb, x: mb.batch_norm(x=x, **given, gamma=GAMMA.numpy(), beta=BETA.numpy(), epsilon=1e-3),
        lambda x: functional.batch_norm(x, mean, variance, GAMMA, BETA, eps=1e-3),
        X,
    )
    check(lambda mb, x: mb.batch_norm(x=x, **given), lambda x: functional.batch_norm(x, mean, variance), X)


NORMS: dict[str, tuple[Callable[..., Any], Callable[[torch.Tensor], torch.Tensor]]] = {
    "last axes": (
        lambda mb, x: mb.layer_norm(x=x, axes=[-2, -1], gamma=ONES.numpy(), beta=(ONES - 1).numpy(), epsilon=1e-3),
        lambda x: functional.layer_norm(x, (4, 5), ONES, ONES - 1, 1e-3),
    ),
    "channels": (
        lambda mb, x: mb.layer_norm(x=x, axes=[1], gamma=GAMMA.numpy(), beta=BETA.numpy(), epsilon=1e-6),
        lambda x: functional.layer_norm(x.movedim(1, -1), (3,), GAMMA, BETA, 1e-6).movedim(-1, 1),
    ),
    "without scale": (lambda mb, x: mb.layer_norm(x=x, axes=[-1]), lambda x: functional.layer_norm(x, (5,))),
    "instance": (
        lambda mb, x: mb.instance_norm(x=x, gamma=GAMMA.numpy(), beta=BETA.numpy()),
        lambda x: functional.instance_norm(x, weight=GAMMA, bias=BETA),
    ),
    "length": (
        lambda mb, x: mb.l2_norm(x=x, epsilon=1e-3),
        lambda x: x / torch.sqrt(x.square().sum((1, 2, 3), keepdim=True) + 1e-3),
    ),
}


@pytest.mark.parametrize("case", NORMS)
def test_a_normalisation_equals_torchs(case: str) -> None:
    check(*NORMS[case], X)


def test_sums_run_from_either_end() -> None:
    check(lambda mb, x: mb.cumsum(x=x, axis=2), lambda x: x.cumsum(2), X)
    check(
        lambda mb, x: mb.cumsum(x=x, axis=2, exclusive=True, reverse=True),
        lambda x: x.flip(2).cumsum(2).flip(2) - x,
        X,
    )

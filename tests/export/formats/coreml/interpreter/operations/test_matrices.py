"""Matrix products: programs built with coremltools, compared with torch."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from tests.export.formats.coreml.interpreter.mil_program import check

X = torch.sin(torch.arange(24, dtype=torch.float32)).reshape(2, 3, 4)
Y = torch.cos(torch.arange(40, dtype=torch.float32)).reshape(2, 4, 5)


def test_linear_equals_torchs_with_and_without_a_bias() -> None:
    weight, bias = Y[0].T.contiguous(), torch.arange(5.0)
    check(lambda mb, x: mb.linear(x=x, weight=weight.numpy()), lambda x: functional.linear(x, weight), X)
    check(
        lambda mb, x: mb.linear(x=x, weight=weight.numpy(), bias=bias.numpy()),
        lambda x: functional.linear(x, weight, bias),
        X,
    )


@pytest.mark.parametrize("swap_x", [False, True])
@pytest.mark.parametrize("swap_y", [False, True])
def test_matmul_transposes_either_side(swap_x: bool, swap_y: bool) -> None:
    x, y = (X.mT.contiguous() if swap_x else X), (Y.mT.contiguous() if swap_y else Y)
    check(
        lambda mb, x, y: mb.matmul(x=x, y=y, transpose_x=swap_x, transpose_y=swap_y),
        lambda *_: X @ Y,
        x,
        y,
    )


def test_matmul_broadcasts_batches_and_takes_constants() -> None:
    check(lambda mb, x: mb.matmul(x=x, y=Y[0].numpy()), lambda x: x @ Y[0], X)
    check(lambda mb, x, y: mb.matmul(x=x, y=y), lambda x, y: x @ y, X[:1], Y.reshape(2, 1, 4, 5))


def test_einsum_equals_torchs() -> None:
    equation = "nchw,nwhu->nchu"
    x, y = X.reshape(1, 2, 3, 4), torch.sin(torch.arange(60, dtype=torch.float32)).reshape(1, 4, 3, 5)
    check(lambda mb, x, y: mb.einsum(values=(x, y), equation=equation), lambda x, y: torch.einsum(equation, x, y), x, y)


def test_attention_equals_torchs() -> None:
    query, key, value = X[:, None], (X + 1)[:, None], (X * 2)[:, None]
    check(
        lambda mb, q, k, v: mb.scaled_dot_product_attention(query=q, key=k, value=v),
        functional.scaled_dot_product_attention,
        query,
        key,
        value,
        target="iOS18",
    )
    mask = torch.linspace(-1, 1, 9).reshape(3, 3)
    check(
        lambda mb, q, k, v: mb.scaled_dot_product_attention(query=q, key=k, value=v, attn_mask=mask.numpy()),
        lambda q, k, v: functional.scaled_dot_product_attention(q, k, v, mask),
        query,
        key,
        value,
        target="iOS18",
    )

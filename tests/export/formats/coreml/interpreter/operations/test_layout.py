"""Ops that move values: programs built with coremltools, compared with torch."""

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

X = torch.arange(240, dtype=torch.float32).reshape(2, 4, 6, 5)
EVEN = torch.arange(192, dtype=torch.float32).reshape(2, 4, 6, 4)
ROWS = torch.tensor([[0, 2], [-1, 1]], dtype=torch.int32)

CASES: dict[str, tuple[Callable[..., Any], Callable[[torch.Tensor], Any]]] = {
    "reshape with -1": (lambda mb, x: mb.reshape(x=x, shape=[2, -1, 10]), lambda x: x.reshape(2, -1, 10)),
    "reshape with 0": (lambda mb, x: mb.reshape(x=x, shape=[0, 2, 12, 0]), lambda x: x.reshape(2, 2, 12, 5)),
    "flatten2d": (lambda mb, x: mb.flatten2d(x=x, axis=2), lambda x: x.reshape(8, 30)),
    "transpose": (lambda mb, x: mb.transpose(x=x, perm=[0, 2, 3, 1]), lambda x: x.permute(0, 2, 3, 1)),
    "transpose by negative axes": (lambda mb, x: mb.transpose(x=x, perm=[0, 1, -1, -2]), lambda x: x.mT),
    "expand_dims": (lambda mb, x: mb.expand_dims(x=x, axes=[0]), lambda x: x[None]),
    "expand_dims at the end": (lambda mb, x: mb.expand_dims(x=x, axes=[-1]), lambda x: x[..., None]),
    "squeeze": (lambda mb, x: mb.squeeze(x=mb.reshape(x=x, shape=[1, 240, 1]), axes=[-1]), lambda x: x.reshape(1, 240)),
    "squeeze all": (lambda mb, x: mb.squeeze(x=mb.reshape(x=x, shape=[1, 240, 1])), lambda x: x.reshape(240)),
    "concat": (lambda mb, x: mb.concat(values=(x, x, x), axis=1), lambda x: torch.cat([x, x, x], 1)),
    "concat of one": (lambda mb, x: mb.concat(values=(x,), axis=1), lambda x: x),
    "concat with a constant": (
        lambda mb, x: mb.concat(values=(np.ones((2, 1, 6, 5), np.float32), x), axis=-3),
        lambda x: torch.cat([torch.ones(2, 1, 6, 5), x], 1),
    ),
    "concat interleaved": (
        lambda mb, x: mb.concat(values=(x, mb.add(x=x, y=0.5)), axis=1, interleave=True),
        lambda x: torch.stack([x, x + 0.5], 2).reshape(2, 8, 6, 5),
    ),
    "stack": (lambda mb, x: mb.stack(values=(x, x), axis=1), lambda x: torch.stack([x, x], 1)),
    "split evenly": (lambda mb, x: mb.split(x=x, num_splits=2, axis=1), lambda x: x.split(2, 1)),
    "split by sizes": (lambda mb, x: mb.split(x=x, split_sizes=[1, 3, 2], axis=-2), lambda x: x.split([1, 3, 2], -2)),
    "slice": (
        lambda mb, x: mb.slice_by_index(x=x, begin=[0, 1, -4, 0], end=[2, 3, -1, 5], stride=[1, 1, 2, 2]),
        lambda x: x[:, 1:3, -4:-1:2, ::2],
    ),
    "slice with masks": (
        lambda mb, x: mb.slice_by_index(
            x=x,
            begin=[1, 1, 3, 2],
            end=[1, 2, 3, 4],
            begin_mask=[True, False, False, False],
            end_mask=[True, False, True, False],
            squeeze_mask=[False, True, False, False],
        ),
        lambda x: x[:, 1, 3:, 2:4],
    ),
    "slice backwards": (
        lambda mb, x: mb.slice_by_index(
            x=x, begin=[0, 0, 5, 0], end=[2, 4, 0, 5], stride=[1, 1, -2, 1], end_mask=[False, False, True, False]
        ),
        lambda x: x[:, :, [5, 3, 1]],
    ),
    "slice_by_size": (
        lambda mb, x: mb.slice_by_size(x=x, begin=[0, 1, 2, 0], size=[-1, 2, -1, 3]),
        lambda x: x[:, 1:3, 2:, :3],
    ),
    "reverse": (lambda mb, x: mb.reverse(x=x, axes=[1, -1]), lambda x: x.flip(1, 3)),
    "tile": (lambda mb, x: mb.tile(x=x, reps=[1, 2, 1, 3]), lambda x: x.repeat(1, 2, 1, 3)),
    "pad": (
        lambda mb, x: mb.pad(x=x, pad=[0, 0, 0, 0, 1, 2, 3, 4], mode="constant", constant_val=7.0),
        lambda x: functional.pad(x, (3, 4, 1, 2), value=7.0),
    ),
    "pad the last axis": (lambda mb, x: mb.pad(x=x, pad=[1, 2]), lambda x: functional.pad(x, (1, 2))),
    "pad by reflection": (
        lambda mb, x: mb.pad(x=x, pad=[1, 2, 3, 4], mode="reflect"),
        lambda x: functional.pad(x, (3, 4, 1, 2), mode="reflect"),
    ),
    "pad by the edge": (
        lambda mb, x: mb.pad(x=x, pad=[1, 2, 3, 4], mode="replicate"),
        lambda x: functional.pad(x, (3, 4, 1, 2), mode="replicate"),
    ),
    "gather": (lambda mb, x: mb.gather(x=x, indices=[2, 0, -1], axis=1), lambda x: x[:, [2, 0, -1]]),
    "gather by a matrix": (
        lambda mb, x: mb.gather(x=x, indices=ROWS.numpy(), axis=-1),
        lambda x: x[..., ROWS.long()],
    ),
    "gather one": (lambda mb, x: mb.gather(x=x, indices=np.int32(1), axis=1), lambda x: x[:, 1]),
    "gather_along_axis": (
        lambda mb, x: mb.gather_along_axis(x=x, indices=np.full((2, 4, 1, 5), 3, np.int32), axis=2),
        lambda x: x[:, :, 3:4],
    ),
    "pixel_shuffle": (lambda mb, x: mb.pixel_shuffle(x=x, upscale_factor=2), lambda x: functional.pixel_shuffle(x, 2)),
}


@pytest.mark.parametrize("case", CASES)
def test_values_move_as_in_torch(case: str) -> None:
    check(*CASES[case], X)


def test_pixels_become_channels_and_back() -> None:
    check(
        lambda mb, x: mb.pixel_unshuffle(x=x, downscale_factor=np.uint32(2)),
        lambda x: functional.pixel_unshuffle(x, 2),
        EVEN,
    )
    check(lambda mb, x: mb.depth_to_space(x=mb.space_to_depth(x=x, block_size=2), block_size=2), lambda x: x, EVEN)


def test_a_block_of_pixels_is_the_outer_part_of_the_channels() -> None:
    deep = OPERATIONS["space_to_depth"]({"x": EVEN, "block_size": 2})
    assert torch.equal(deep[:, :4], EVEN[:, :, ::2, ::2])
    assert torch.equal(deep[:, 4:8], EVEN[:, :, ::2, 1::2])


def test_an_unknown_way_to_pad_is_refused() -> None:
    with pytest.raises(UnmeasurableError, match="pad with mode symmetric"):
        OPERATIONS["pad"]({"x": X, "pad": np.zeros(8), "mode": "symmetric"})

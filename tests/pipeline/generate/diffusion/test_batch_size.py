"""Batches: how large, and what is left when the memory of a device does not do."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from pipeline.errors import ModelError
from pipeline.generate.diffusion.batch_size import cpu_batch, cuda_batch, in_batches


class Device:
    """Draws up to ``room`` pictures at once and notes what it was asked for."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.asked: list[int] = []

    def draw(self, prompts: Sequence[int]) -> list[str]:
        self.asked.append(len(prompts))
        if len(prompts) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return [f"picture {prompt}" for prompt in prompts]


def test_prompts_are_cut_by_a_fixed_size() -> None:
    device = Device(room=99)
    assert list(in_batches(device.draw, range(7), 3, "here")) == [f"picture {n}" for n in range(7)]
    assert device.asked == [3, 3, 1]


def test_a_batch_too_large_is_halved_until_it_fits_and_nothing_is_lost() -> None:
    device = Device(room=2)
    assert list(in_batches(device.draw, range(11), 8, "here")) == [f"picture {n}" for n in range(11)]
    assert device.asked == [8, 4, 2, 2, 2, 2, 2, 1]


def test_the_next_shard_begins_with_the_full_size_so_that_its_batches_do_not_depend_on_the_last() -> None:
    device = Device(room=2)
    list(in_batches(device.draw, range(4), 4, "here"))
    list(in_batches(device.draw, range(4), 4, "here"))
    assert device.asked == [4, 2, 2, 4, 2, 2]


def test_not_even_one_picture_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(ModelError, match=r"here: the device has no memory for a single picture \(CUDA out of memory\)"):
        list(in_batches(Device(room=0).draw, range(4), 4, "here"))


def test_other_failures_pass_through() -> None:
    def fail(_: Sequence[int]) -> list[str]:
        raise RuntimeError("shape")

    with pytest.raises(RuntimeError, match="shape"):
        list(in_batches(fail, range(4), 4, "here"))


def test_batches_shrink_as_pictures_grow() -> None:
    assert [cpu_batch(*size) for size in ((48, 64), (96, 128), (480, 640), (864, 1152))] == [64, 32, 1, 1]
    sizes = [cuda_batch(480, 640, free * 1e9, 2) for free in (1, 8, 20, 70, 700)]
    assert sizes == [1, 4, 10, 37, 64]
    assert cuda_batch(480, 640, 20e9, 4) == 5

"""Batch sizes, and smaller batches if one does not fit the memory."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from pipeline.errors import ModelError
from pipeline.generate.diffusion.batch_size import cpu_batch, cuda_batch, draw_in_batches


class Device:
    """Draws up to ``room`` images at once and records the batch sizes."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.batches: list[int] = []

    def draw(self, prompts: Sequence[int]) -> list[str]:
        self.batches.append(len(prompts))
        if len(prompts) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return [f"image {prompt}" for prompt in prompts]


def test_prompts_are_divided_into_batches_of_a_fixed_size() -> None:
    device = Device(room=99)
    assert list(draw_in_batches(device.draw, range(7), 3, "here")) == [f"image {n}" for n in range(7)]
    assert device.batches == [3, 3, 1]


def test_a_batch_that_does_not_fit_is_halved_until_it_does_and_nothing_is_lost() -> None:
    device = Device(room=2)
    assert list(draw_in_batches(device.draw, range(11), 8, "here")) == [f"image {n}" for n in range(11)]
    assert device.batches == [8, 4, 2, 2, 2, 2, 2, 1]


def test_the_next_shard_starts_with_the_full_batch_size() -> None:
    device = Device(room=2)
    list(draw_in_batches(device.draw, range(4), 4, "here"))
    list(draw_in_batches(device.draw, range(4), 4, "here"))
    assert device.batches == [4, 2, 2, 4, 2, 2]


def test_too_little_memory_for_one_image_is_an_error_that_says_what_to_change() -> None:
    with pytest.raises(
        ModelError, match=r"here: the device has not enough memory for one image \(CUDA out of memory\)"
    ):
        list(draw_in_batches(Device(room=0).draw, range(4), 4, "here"))


def test_other_errors_are_not_caught() -> None:
    def fail(_: Sequence[int]) -> list[str]:
        raise RuntimeError("shape")

    with pytest.raises(RuntimeError, match="shape"):
        list(draw_in_batches(fail, range(4), 4, "here"))


def test_batch_sizes_shrink_with_the_image_size() -> None:
    assert [cpu_batch(*size) for size in ((48, 64), (96, 128), (480, 640), (864, 1152))] == [64, 32, 1, 1]
    sizes = [cuda_batch(480, 640, free * 1e9, 2) for free in (1, 8, 20, 70, 700)]
    assert sizes == [1, 4, 10, 37, 64]
    assert cuda_batch(480, 640, 20e9, 4) == 5

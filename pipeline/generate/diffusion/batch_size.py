"""How many pictures are drawn together, and what happens when they do not fit the device.

Batches are cut from a shard's prompts alone, so that a shard comes out the same whether or not a run was stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console

from pipeline.errors import ModelError

MOST = 64  # pictures; more bring nothing even where they would fit
CPU_PIXELS = 32 * 96 * 128  # a CPU gains nothing from more: 8 to 64 pictures of 96x128 take the same time each
CUDA_BYTES_PER_PIXEL = 3072  # for each byte of the dtype; an estimate on the safe side, most of it the decoder's
P = TypeVar("P")
R = TypeVar("R")


def cpu_batch(width: int, height: int) -> int:
    """Pictures a batch on a CPU: 32 of 96x128, 1 of 480x640 or more."""
    return min(MOST, max(1, CPU_PIXELS // (width * height)))


def cuda_batch(width: int, height: int, free_bytes: float, dtype_bytes: int) -> int:
    """Pictures a batch on a GPU that has ``free_bytes`` beside the model."""
    return min(MOST, max(1, int(free_bytes / (width * height * CUDA_BYTES_PER_PIXEL * dtype_bytes))))


def in_batches(draw: Callable[[Sequence[P]], Sequence[R]], prompts: Sequence[P], size: int, place: str) -> Iterator[R]:
    """Draw prompts ``size`` at a time, in order; a batch that does not fit the memory is halved, and so are the rest.

    The next call begins with ``size`` again: which prompts are drawn together must not depend on earlier shards.

    Raises:
        ModelError: Not even one picture fits.
    """
    import torch

    rest = prompts
    while rest:
        part = rest[:size]
        try:
            drawn = draw(part)
        except torch.OutOfMemoryError as error:
            size = _halve(len(part), place, error)
        else:
            yield from drawn
            rest = rest[len(part) :]
            continue
        if torch.cuda.is_available():  # only here, where the failed call's tensors are out of scope
            torch.cuda.empty_cache()


def _halve(count: int, place: str, error: Exception) -> int:
    if count == 1:
        raise ModelError(
            f"{place}: the device has no memory for a single picture ({str(error).partition('.')[0]}); expected a "
            "smaller width and height, dtype: float16, or a device with more memory"
        ) from error
    size = count // 2
    Console(stderr=True).print(
        f"{count} pictures at once do not fit the device; going on with {size}; to begin there: batch_size: {size}"
    )
    return size

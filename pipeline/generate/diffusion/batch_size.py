"""Number of images drawn in one batch, and smaller batches if one does not fit the device's memory.

A batch never spans two shards, so a shard is the same whether or not the run was interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console

from pipeline.errors import ModelError

MAX_BATCH = 64  # larger batches are no faster, even if they fit
CPU_PIXELS = 32 * 96 * 128  # per batch; on a CPU, 8 to 64 images of 96x128 take the same time each
CUDA_BYTES_PER_PIXEL = 3072  # times the bytes of the dtype; a conservative estimate, mostly the decoder
P = TypeVar("P")
R = TypeVar("R")


def cpu_batch(width: int, height: int) -> int:
    """Return the number of images per batch on a CPU: 32 of 96x128, 1 of 480x640 or larger."""
    return min(MAX_BATCH, max(1, CPU_PIXELS // (width * height)))


def cuda_batch(width: int, height: int, free_bytes: float, dtype_bytes: int) -> int:
    """Return the number of images per batch on a GPU with ``free_bytes`` of memory besides the model."""
    return min(MAX_BATCH, max(1, int(free_bytes / (width * height * CUDA_BYTES_PER_PIXEL * dtype_bytes))))


def draw_in_batches(
    draw: Callable[[Sequence[P]], Sequence[R]], prompts: Sequence[P], size: int, place: str
) -> Iterator[R]:
    """Draw prompts ``size`` at a time, in order; if a batch does not fit the memory, halve it and those after it.

    The next call begins with ``size`` again: which prompts share a batch must not depend on earlier shards.

    Args:
        draw: Draws one batch.
        prompts: All prompts of a shard.
        size: Prompts per batch.
        place: Path of the preset in params.yaml, for the error.

    Raises:
        ModelError: Not even one image fits.
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
        if torch.cuda.is_available():  # only here are the tensors of the failed call out of scope
            torch.cuda.empty_cache()


def _halve(count: int, place: str, error: Exception) -> int:
    if count == 1:
        raise ModelError(
            f"{place}: the device has not enough memory for one image ({str(error).partition('.')[0]}); expected a "
            "smaller width and height, dtype: float16, or a device with more memory"
        ) from error
    size = count // 2
    Console(stderr=True).print(
        f"a batch of {count} images does not fit the device; continuing with {size}; to start there: batch_size: {size}"
    )
    return size

"""Chooses the device that torch uses, from params.yaml and what this machine has, and its number of threads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pipeline.errors import ParamsError

BEST_FIRST = ("cuda", "mps", "cpu")


def choose_device(requested: str, place: str, usable: Sequence[str] = BEST_FIRST) -> str:
    """Choose a device; "auto" is the best that this machine has.

    Args:
        requested: "auto", "cuda", "mps" or "cpu".
        place: Section of params.yaml with the key ``device``, for the error; e.g. "train".
        usable: Devices that the work can run on, the best first.

    Returns:
        "cuda", "mps" or "cpu".

    Raises:
        ParamsError: This machine does not have the requested device, or the work cannot run on it.
    """
    import torch

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    choices = [name for name in usable if available[name]]
    if requested == "auto":
        return choices[0]
    if requested not in choices:
        found = ", ".join(reversed(choices))
        raise ParamsError(f"{place}.device: {requested}; this machine has {found}; expected one of them, or auto")
    return requested


@contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """Set the number of threads torch uses within an operation, and restore it afterwards.

    Args:
        count: Number of threads; None changes nothing.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)

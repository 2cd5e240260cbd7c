"""Which device torch works on: what params.yaml asks for, held against what this machine has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pipeline.errors import ParamsError

BEST_FIRST = ("cuda", "mps", "cpu")


def choose_device(wanted: str, place: str, among: Sequence[str] = BEST_FIRST) -> str:
    """Name the device to work on; "auto" is the best there is.

    Args:
        wanted: "auto", "cuda", "mps" or "cpu".
        place: Where that was asked for, for the error; e.g. "train".
        among: Devices that the work can be done on, the best first.

    Raises:
        ParamsError: This machine does not have it.
    """
    import torch

    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    there = [name for name in among if has[name]]
    if wanted == "auto":
        return there[0]
    if wanted not in there:
        found = ", ".join(reversed(there))
        raise ParamsError(f"{place}.device: {wanted}; this machine has {found}; expected one of them, or auto")
    return wanted


@contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """Let torch use so many threads inside an operation (None: as many as now), and as many as before afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)

"""Torch's threads: as many as told, and as many as before afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from pipeline.machine.devices import torch_threads


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("count", "inside"), [(1, 1), (3, 3), (None, 2)])
def test_so_many_inside_and_as_many_as_before_afterwards(count: int | None, inside: int) -> None:
    with torch_threads(count):
        assert torch.get_num_threads() == inside
    assert torch.get_num_threads() == 2


def test_an_error_inside_gives_them_back_too() -> None:
    with pytest.raises(ZeroDivisionError), torch_threads(1):
        raise ZeroDivisionError
    assert torch.get_num_threads() == 2

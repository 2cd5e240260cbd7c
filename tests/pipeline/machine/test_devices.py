"""Choice of the device, errors that list the available ones, and the number of torch threads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from pipeline.errors import ParamsError
from pipeline.machine.devices import choose_device, torch_threads


def have(monkeypatch: pytest.MonkeyPatch, *, cuda: bool, mps: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("cuda", "mps", "best"), [(False, False, "cpu"), (False, True, "mps"), (True, False, "cuda"), (True, True, "cuda")]
)
def test_auto_is_the_best_available_device(
    monkeypatch: pytest.MonkeyPatch, *, cuda: bool, mps: bool, best: str
) -> None:
    have(monkeypatch, cuda=cuda, mps=mps)
    assert choose_device("auto", "train") == best
    assert choose_device("cpu", "train") == "cpu"


def test_auto_skips_devices_the_work_cannot_use(monkeypatch: pytest.MonkeyPatch) -> None:
    have(monkeypatch, cuda=False, mps=True)
    assert choose_device("auto", "recipe", usable=("cuda", "cpu")) == "cpu"


def test_an_unavailable_device_is_an_error_that_lists_the_available_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    have(monkeypatch, cuda=False, mps=True)
    with pytest.raises(ParamsError, match=r"train.device: cuda; this machine has cpu, mps; expected one of them, or"):
        choose_device("cuda", "train")
    with pytest.raises(ParamsError, match=r"recipe.device: mps; this machine has cpu; expected one of them, or auto"):
        choose_device("mps", "recipe", usable=("cuda", "cpu"))


@pytest.fixture
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_two_threads")
@pytest.mark.parametrize(("count", "inside"), [(1, 1), (3, 3), (None, 2)])
def test_torch_threads_sets_the_thread_count_and_restores_it(count: int | None, inside: int) -> None:
    with torch_threads(count):
        assert torch.get_num_threads() == inside
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("_two_threads")
def test_torch_threads_restores_the_thread_count_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), torch_threads(1):
        raise ZeroDivisionError
    assert torch.get_num_threads() == 2

"""Devices: the best there is, or a clear word on what there is."""

from __future__ import annotations

import pytest
import torch

from pipeline.errors import ParamsError
from pipeline.machine.devices import choose_device


def have(monkeypatch: pytest.MonkeyPatch, *, cuda: bool, mps: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("cuda", "mps", "best"), [(False, False, "cpu"), (False, True, "mps"), (True, False, "cuda"), (True, True, "cuda")]
)
def test_auto_is_the_best_device_there_is(monkeypatch: pytest.MonkeyPatch, *, cuda: bool, mps: bool, best: str) -> None:
    have(monkeypatch, cuda=cuda, mps=mps)
    assert choose_device("auto", "train") == best
    assert choose_device("cpu", "train") == "cpu"


def test_auto_passes_over_what_the_work_cannot_use(monkeypatch: pytest.MonkeyPatch) -> None:
    have(monkeypatch, cuda=False, mps=True)
    assert choose_device("auto", "recipe", among=("cuda", "cpu")) == "cpu"


def test_a_device_that_is_not_there_names_those_that_are(monkeypatch: pytest.MonkeyPatch) -> None:
    have(monkeypatch, cuda=False, mps=True)
    with pytest.raises(ParamsError, match=r"train.device: cuda; this machine has cpu, mps; expected one of them, or"):
        choose_device("cuda", "train")
    with pytest.raises(ParamsError, match=r"recipe.device: mps; this machine has cpu; expected one of them, or auto"):
        choose_device("mps", "recipe", among=("cuda", "cpu"))

"""State of a training: read back bit for bit, replaced by later ones, damaged ones not used."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipeline.data.work_cache import WorkCache, open_work
from pipeline.train.training_state import STATE, Epoch, load_state, save_state

EPOCHS = [
    Epoch(
        epoch=n,
        train_loss=0.1 / n,
        val_loss=1 / 3,
        val_accuracy=0.9,
        learning_rate=1e-3,
        images_per_second=7,
        seconds=2,
    )
    for n in (1, 2)
]


@pytest.fixture
def cache(tmp_path: Path) -> WorkCache:
    return open_work(tmp_path / "checkpoint.work", "key")


def test_a_state_comes_back_bit_for_bit(cache: WorkCache) -> None:
    tensors = {
        "weight": torch.rand(4, 3, 5, 5).to(memory_format=torch.channels_last),
        "count": torch.tensor(7),
        "third": torch.tensor([1 / 3, float("inf")]),
    }
    save_state(cache, tensors, EPOCHS)
    loaded, epochs = load_state(cache)
    assert epochs == EPOCHS
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)


def test_a_later_state_replaces_the_earlier_one(cache: WorkCache) -> None:
    save_state(cache, {"weight": torch.zeros(2)}, EPOCHS[:1])
    save_state(cache, {"weight": torch.ones(2)}, EPOCHS)
    loaded, epochs = load_state(cache)
    assert loaded["weight"].tolist() == [1, 1]
    assert len(epochs) == 2
    assert cache.names() == [STATE]


def test_without_a_file_there_is_no_state(cache: WorkCache) -> None:
    assert load_state(cache) == ({}, [])


@pytest.mark.parametrize("flip", [True, False])
def test_a_damaged_state_is_not_used_and_it_is_reported(
    flip: bool, cache: WorkCache, capsys: pytest.CaptureFixture[str]
) -> None:
    save_state(cache, {"weight": torch.zeros(2)}, EPOCHS)
    path = cache.path(STATE)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]) if flip else data[:-3])
    assert load_state(cache) == ({}, [])
    assert f"{STATE}: not as it was written; it is made again" in capsys.readouterr().err

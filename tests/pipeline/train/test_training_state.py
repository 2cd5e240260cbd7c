from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipeline.errors import DataError
from pipeline.train.training_state import STATE, Epoch, load_state, open_work, save_state

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


def test_a_state_comes_back_bit_for_bit(tmp_path: Path) -> None:
    tensors = {
        "weight": torch.rand(4, 3, 5, 5).to(memory_format=torch.channels_last),
        "count": torch.tensor(7),
        "third": torch.tensor([1 / 3, float("inf")]),
    }
    save_state(tmp_path, tensors, EPOCHS)
    loaded, epochs = load_state(tmp_path)
    assert epochs == EPOCHS
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)


def test_a_later_state_takes_the_place_of_the_earlier(tmp_path: Path) -> None:
    save_state(tmp_path, {"weight": torch.zeros(2)}, EPOCHS[:1])
    save_state(tmp_path, {"weight": torch.ones(2)}, EPOCHS)
    loaded, epochs = load_state(tmp_path)
    assert loaded["weight"].tolist() == [1, 1]
    assert len(epochs) == 2
    assert [path.name for path in tmp_path.iterdir()] == [STATE]


def test_nothing_yet_is_no_state(tmp_path: Path) -> None:
    assert load_state(tmp_path) == ({}, [])


def test_a_damaged_state_says_what_to_delete(tmp_path: Path) -> None:
    save_state(tmp_path, {"weight": torch.zeros(2)}, EPOCHS)
    path = tmp_path / STATE
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DataError, match=rf"{STATE}: not a training state .*delete {tmp_path} to train from the start"):
        load_state(tmp_path)


def test_work_of_other_inputs_is_cleared_away(tmp_path: Path) -> None:
    old = open_work(tmp_path / "work", "old")
    save_state(old, {"weight": torch.zeros(2)}, EPOCHS)
    new = open_work(tmp_path / "work", "new")
    assert new.is_dir()
    assert not old.exists()
    (new / "mark").touch()
    assert (open_work(tmp_path / "work", "new") / "mark").exists()

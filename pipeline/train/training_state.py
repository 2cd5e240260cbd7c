"""A training that was cut short goes on where it stood: its state after the last whole epoch, in one safetensors file.

    WORK/<key>/state.safetensors  the learner's tensors, and the epochs so far as JSON in the header

The key is a hash of all that the result depends on, so another training never goes on from this one's state. Writes are
atomic: a kill leaves the epoch before.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError, safe_open

from pipeline.data.records import Record
from pipeline.data.storage import atomic_write
from pipeline.errors import DataError
from pipeline.train.trainer import Tensors

STATE = "state.safetensors"
MACHINE_FIELDS = ("images_per_second", "seconds")
"""Fields of ``Epoch`` that depend on the machine and stay out of plots/train.csv."""


class Epoch(Record):
    """Figures of one epoch; only ``MACHINE_FIELDS`` vary between runs with equal inputs."""

    epoch: int
    train_loss: float
    val_loss: float
    val_accuracy: float
    learning_rate: float
    images_per_second: float
    seconds: float


def open_work(work: Path, key: str) -> Path:
    """Return the folder of this key, and remove those of others: their inputs are gone."""
    for other in work.iterdir() if work.is_dir() else ():
        if other.name != key:
            shutil.rmtree(other)
    folder = work / key
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def save_state(folder: Path, tensors: Tensors, epochs: Sequence[Epoch]) -> None:
    """Keep the state after an epoch, in place of the one before."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {"epochs": json.dumps([epoch.model_dump() for epoch in epochs])}
    with atomic_write(folder / STATE) as file:
        file.write(safetensors.torch.save(plain, header))


def load_state(folder: Path) -> tuple[Tensors, list[Epoch]]:
    """Read the last state; nothing and no epochs where there is none yet.

    Raises:
        DataError: The state is damaged.
    """
    path = folder / STATE
    if not path.is_file():
        return {}, []
    try:
        with safe_open(path, "pt") as file:
            rows = json.loads(file.metadata()["epochs"])
            return {name: file.get_tensor(name) for name in file.keys()}, [Epoch(**row) for row in rows]  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise DataError(f"{path}: not a training state ({error}); delete {folder} to train from the start") from error

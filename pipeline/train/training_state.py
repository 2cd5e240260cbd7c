"""State of a training after its last whole epoch, from which a stopped training resumes.

    OUT.work/KEY/state.safetensors  the trainer's tensors, and the epochs so far as JSON in the header

An entry of a work area (``pipeline.data.work_cache``): a kill while it is written leaves the state of the epoch before.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import safetensors.torch
from safetensors import safe_open

from pipeline.data.records import Record
from pipeline.data.work_cache import WorkCache
from pipeline.train.trainer import Tensors

STATE = "state.safetensors"
MACHINE_FIELDS = ("images_per_second", "seconds")
"""Fields of ``Epoch`` that depend on the machine and stay out of plots/train.csv."""


class Epoch(Record):
    """Figures of one epoch; only ``MACHINE_FIELDS`` vary between runs with equal inputs.

    Attributes:
        epoch: Number of the epoch, from 1.
        train_loss: Mean loss over the training batches, label smoothing included.
        val_loss: Cross-entropy of the averaged weights on the validation rows, in nats.
        val_accuracy: Accuracy of the averaged weights on the validation rows, 0..1.
        learning_rate: Learning rate of the last step.
        images_per_second: Training speed, evaluation excluded.
        seconds: Duration, evaluation included.
    """

    epoch: int
    train_loss: float
    val_loss: float
    val_accuracy: float
    learning_rate: float
    images_per_second: float
    seconds: float


def save_state(cache: WorkCache, tensors: Tensors, epochs: Sequence[Epoch]) -> None:
    """Write the state after an epoch, in place of the one before."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {"epochs": json.dumps([epoch.model_dump() for epoch in epochs])}
    with cache.write(STATE) as file:
        file.write(safetensors.torch.save(plain, header))


def load_state(cache: WorkCache) -> tuple[Tensors, list[Epoch]]:
    """Read the last state: its tensors and epochs, or none of either if there is none or it is damaged."""
    if not cache.has(STATE):
        return {}, []
    with safe_open(cache.path(STATE), "pt") as file:
        rows = json.loads(file.metadata()["epochs"])
        return {name: file.get_tensor(name) for name in file.keys()}, [Epoch(**row) for row in rows]  # noqa: SIM118

"""What the training methods share: their input, their result and their progress bar.

``pipeline.train.full_training`` trains all weights, ``pipeline.train.head.training`` fits a head to frozen features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pipeline.config.params import TrainParams
from pipeline.data.preprocess import PreprocessSpec
from pipeline.data.records import Image
from pipeline.metrics.decision_threshold import Costs
from pipeline.train.backbone import Architecture
from pipeline.train.data_loader import ImageDataset
from pipeline.train.model import build_classifier
from pipeline.train.training_state import Epoch

OnEpoch = Callable[[Epoch], None]


@dataclass(frozen=True, slots=True)
class TrainRows:
    """Input of a training.

    Attributes:
        train: Training rows.
        val: Validation rows, to choose the epoch and the threshold.
        images: Folder of the shards.
        costs: Costs of false positives and false negatives.
    """

    train: Sequence[Image]
    val: Sequence[Image]
    images: Path
    costs: Costs = field(default_factory=Costs)


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training method returns.

    Attributes:
        network: With the weights to save.
        epochs: Figures of all epochs.
        saved: The epoch whose weights are saved.
        probabilities: Probabilities of the validation rows, float64 (rows, labels).
        targets: Label index of every validation row, int64 (rows,).
        images_per_epoch: Training images per epoch.
    """

    network: torch.nn.Module
    epochs: Sequence[Epoch]
    saved: Epoch
    probabilities: NDArray[np.float64]
    targets: NDArray[np.int64]
    images_per_epoch: int


class TrainingData:
    """Params, datasets and the pool of a training."""

    def __init__(self, params: TrainParams, labels: Sequence[str], rows: TrainRows, pool: Executor) -> None:
        self.params, self.labels, self.rows, self.pool = params, labels, rows, pool
        self.spec = input_spec(params)
        self.train = ImageDataset(rows.images, rows.train, labels, self.spec, pool)
        self.val = ImageDataset(rows.images, rows.val, labels, self.spec, pool)

    def build(self) -> torch.nn.Module:
        """Build the network with its pretrained weights."""
        params = self.params
        architecture = Architecture(
            params.method, params.backbone, len(self.labels), params.padding, self.spec.input_size, params.expert
        )
        with torch.random.fork_rng():
            torch.manual_seed(params.seed)
            return build_classifier(architecture, params.pretrained)


def input_spec(params: TrainParams) -> PreprocessSpec:
    """How pixels become the input of the network."""
    return PreprocessSpec(
        input_size=(params.input_height, params.input_width), fit=params.fit, mean=params.mean, std=params.std
    )


def open_progress(total: int, completed: int) -> Progress:
    """Open the progress bar of a training; both are numbers of images."""
    progress = Progress(
        TextColumn("train"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} images, {task.fields[speed]}/s,"),
        TimeElapsedColumn(),
        TextColumn("elapsed,"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=Console(stderr=True),
    )
    progress.add_task("train", total=total, completed=completed, speed="?")
    return progress


def describe_epoch(epoch: Epoch, epochs: int) -> str:
    """Describe an epoch on one line, for the terminal."""
    return (
        f"epoch {epoch.epoch}/{epochs}: train loss {epoch.train_loss:.4f}, val loss {epoch.val_loss:.4f}, "
        f"val accuracy {epoch.val_accuracy:.4f}, {epoch.images_per_second:.0f} images/s"
    )

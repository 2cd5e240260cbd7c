"""Training method ``head``: frozen features, a head that carries over (``pipeline.train.head.directions``), an expert.

An epoch is one augmented pass over the images; the head is fitted to all passes so far. After the last one, the expert
is fitted, if ``train.expert`` is set (``pipeline.train.head.expert``). Writes features into the work area.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch.nn import functional

from pipeline.data.work_cache import WorkCache
from pipeline.errors import report_kept
from pipeline.train.feature_classifier import FeatureClassifier
from pipeline.train.head import expert
from pipeline.train.head.directions import fit_head, weigh_cells
from pipeline.train.head.feature_set import FeatureSet, FeatureTable, Pictures
from pipeline.train.method import OnEpoch, Trained, TrainingData, describe_epoch, open_progress
from pipeline.train.training_state import Epoch

EVALUATION_BATCH = 64


def train_head(data: TrainingData, cache: WorkCache, on_epoch: OnEpoch | None) -> Trained:
    """Fit head and expert to frozen features; the work area keeps the features, so a stopped run resumes."""
    network = data.build()
    assert isinstance(network, FeatureClassifier)
    network.eval()
    train, val = (
        Pictures(part.read, part.targets, np.array([row.generator or "" for row in rows]))
        for part, rows in ((data.train, data.rows.train), (data.val, data.rows.val))
    )
    network.cell_weights.copy_(torch.from_numpy(weigh_cells(train, network.cells)))
    table = FeatureTable(network, data.spec, cache, data.pool)
    total = data.params.epochs * len(train.targets) + 2 * len(val.targets)
    with (
        open_progress(total, 0) as progress,
        report_kept(lambda: f"features of {progress.tasks[0].completed:.0f} images are kept in {cache.folder.parent}"),
    ):
        fitting = _Fitting(data, network, table, (train, val), progress)
        for number in range(data.params.epochs):
            epoch = fitting.run_epoch(number)
            progress.console.print(describe_epoch(epoch, data.params.epochs))
            if on_epoch is not None:
                on_epoch(epoch)
    return Trained(
        network,
        fitting.epochs,
        fitting.epochs[-1],
        fitting.logits(fitting.augmented).softmax(1).numpy(),
        val.targets,
        len(train.targets),
    )


@dataclass(slots=True)
class _Fitting:
    """A network, the features of the pictures so far, and the figures of the epochs so far."""

    data: TrainingData
    network: FeatureClassifier
    table: FeatureTable
    pictures: tuple[Pictures, Pictures]
    progress: Progress
    epochs: list[Epoch] = field(default_factory=list)
    passes: list[FeatureSet] = field(default_factory=list)
    clean: FeatureSet = field(init=False)
    augmented: FeatureSet = field(init=False)

    def __post_init__(self) -> None:
        strength, seed = self.data.params.augment, self.data.params.seed
        self.clean = self.table.compute("val", self.pictures[1], 0.0, (seed, 0), self._advance)
        self.augmented = self.table.compute("val-augmented", self.pictures[1], strength, (seed, 1), self._advance)

    def run_epoch(self, number: int) -> Epoch:
        """Compute the features of one more pass, and fit the network to all of them."""
        params, (train, val) = self.data.params, self.pictures
        start = time.perf_counter()
        seed = (params.seed, 2 + number)
        self.passes.append(self.table.compute(f"train-{number}", train, params.augment, seed, self._advance))
        features = np.concatenate([each.unit for each in self.passes]).astype(np.float64)
        self.network.set_head(*fit_head(features, train, self.augmented.unit.astype(np.float64), val.targets))
        if self.network.expert is not None and number == params.epochs - 1:
            every = FeatureSet.join(self.passes), train
            for done in expert.fit_expert(self.network, every, (self.clean, val), params.seed):
                self.progress.console.print(f"expert: epoch {done}/{expert.EPOCHS}")
        seconds = time.perf_counter() - start
        logits = self.logits(self.clean)
        epoch = Epoch(
            epoch=number + 1,
            train_loss=_loss(self.logits(self.passes[-1]), train.targets),
            val_loss=_loss(logits, val.targets),
            val_accuracy=float((logits.argmax(1).numpy() == val.targets).mean()),
            learning_rate=0.0,
            images_per_second=len(train.targets) / seconds,
            seconds=seconds,
        )
        self.epochs.append(epoch)
        return epoch

    def logits(self, features: FeatureSet) -> torch.Tensor:
        """Compute the network's logits from features: float64 (rows, labels)."""
        network = self.network
        rows = []
        with torch.inference_mode():
            for low in range(0, len(features.unit), EVALUATION_BATCH):
                part = slice(low, low + EVALUATION_BATCH)
                head = network.classifier(torch.from_numpy(features.unit[part]))
                if network.expert is not None:
                    maps = [
                        torch.from_numpy(each[part].astype(np.float32)) for each in (features.fine, features.coarse)
                    ]
                    head = network.mix(head, network.expert(*maps), torch.from_numpy(features.overall[part]))
                rows.append(head)
        return torch.cat(rows).double()

    def _advance(self, count: int) -> None:
        task = self.progress.tasks[0]
        speed = task.completed / task.elapsed if task.elapsed else 0.0
        self.progress.update(task.id, advance=count, speed=f"{speed:.0f}")


def _loss(logits: torch.Tensor, targets: NDArray[np.int64]) -> float:
    return float(functional.cross_entropy(logits, torch.from_numpy(targets)))

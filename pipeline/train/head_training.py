"""Training method ``head``: frozen features and a head fitted to them (``pipeline.train.feature_head``).

An epoch is one augmented pass over the images; the head that is fitted to all of them is saved. Writes features into
the work area.
"""

from __future__ import annotations

import time

import numpy as np
import torch

from pipeline.data.work_cache import WorkCache
from pipeline.errors import report_kept
from pipeline.train.feature_classifier import FeatureClassifier
from pipeline.train.feature_head import FeatureTable, Pictures, fit_head, weigh_cells
from pipeline.train.method import OnEpoch, Trained, TrainingData, describe_epoch, open_progress
from pipeline.train.training_state import Epoch


def train_head(data: TrainingData, cache: WorkCache, on_epoch: OnEpoch | None) -> Trained:
    """Fit a head to frozen features; the work area keeps the features, so a stopped run resumes."""
    params = data.params
    network = data.build()
    assert isinstance(network, FeatureClassifier)
    train, val = (
        Pictures(part.read, part.targets, np.array([row.generator or "" for row in rows]))
        for part, rows in ((data.train, data.rows.train), (data.val, data.rows.val))
    )
    network.cell_weights.copy_(torch.from_numpy(weigh_cells(train, network.cells)))
    table = FeatureTable(network, data.spec, cache, data.pool)
    epochs: list[Epoch] = []
    start = time.perf_counter()
    images = len(train.targets)
    with (
        open_progress(params.epochs * images + 2 * len(val.targets), 0) as progress,
        report_kept(lambda: f"features of {progress.tasks[0].completed:.0f} images are kept in {cache.folder.parent}"),
    ):

        def advance(count: int) -> None:
            speed = progress.tasks[0].completed / (time.perf_counter() - start)
            progress.update(progress.task_ids[0], advance=count, speed=f"{speed:.0f}")

        for fitted in fit_head(train, val, table, (params.augment, params.seed, params.epochs), advance):
            seconds = time.perf_counter() - start - sum(epoch.seconds for epoch in epochs)
            epochs.append(
                Epoch(
                    epoch=fitted.passes,
                    train_loss=fitted.train_loss,
                    val_loss=fitted.val_loss,
                    val_accuracy=fitted.val_accuracy,
                    learning_rate=0.0,
                    images_per_second=images / seconds,
                    seconds=seconds,
                )
            )
            progress.console.print(describe_epoch(epochs[-1], params.epochs))
            if on_epoch is not None:
                on_epoch(epochs[-1])
    network.set_head(fitted.weight, fitted.bias)
    return Trained(network, epochs, epochs[-1], fitted.val_probabilities, val.targets, images)

"""Training method ``full``: all weights, by gradient descent.

An epoch has as many images as there are training rows (rounded down to whole batches), equally many of each label, with
new augmentation in every epoch; a resumed training sees the images that an uninterrupted one would. The averaged
weights (EMA) of the epoch with the highest validation accuracy are returned; ties go to the lower loss, then to the
earlier epoch. Writes the state after each epoch and DVCLive's files into the work area.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.progress import Progress

from pipeline.config.params import TrainParams
from pipeline.data.work_cache import WorkCache
from pipeline.errors import ModelError, report_kept
from pipeline.train.data_loader import EpochPlan, load_epoch
from pipeline.train.method import OnEpoch, Trained, TrainingData, describe_epoch, open_progress
from pipeline.train.trainer import Score, Tensors, Trainer, split_batch
from pipeline.train.training_state import Epoch, load_state, save_state

BEST = "best."
LIVE = "live"
"""Folder of DVCLive's files within the work area; a log for people, no entry of it."""


def train_fully(data: TrainingData, cache: WorkCache, on_epoch: OnEpoch | None) -> Trained:
    """Train all weights; a stopped training resumes after its last complete epoch."""
    training = _Training(data)
    with report_kept(lambda: _kept(cache, data.params.epochs)):
        best, epochs = training.run_epochs(cache, on_epoch)
    network = training.trainer.average
    network.load_state_dict(best)
    probabilities = training.trainer.probabilities(data.val.read, len(data.rows.val))
    saved = max(epochs, key=lambda epoch: (epoch.val_accuracy, -epoch.val_loss))
    return Trained(network, epochs, saved, probabilities, data.val.targets, training.plan.images)


def learning_rate(params: TrainParams, step: int, steps_per_epoch: int) -> float:
    """Return the learning rate of a step: linear warm-up, then cosine decay to zero (arXiv 1608.03983).

    Args:
        params: ``learning_rate``, ``epochs`` and ``warmup_epochs``.
        step: Number of the step, from 0, counted over all epochs.
        steps_per_epoch: Batches per epoch.
    """
    warmup = min(params.warmup_epochs, params.epochs - 1) * steps_per_epoch
    if step < warmup:
        return params.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / (params.epochs * steps_per_epoch - warmup)
    return params.learning_rate * (1 + math.cos(math.pi * progress)) / 2


class _Training:
    """Trainer and the loop over epochs."""

    def __init__(self, data: TrainingData) -> None:
        self.params, self.pool, self.train, self.val = data.params, data.pool, data.train, data.val
        self.trainer = Trainer(data.build(), data.spec, data.params, data.pool)
        size = min(data.params.batch_size, len(data.rows.train))
        self.plan = EpochPlan(len(data.rows.train) // size, tuple(split_batch(size, self.trainer.device)))

    def run_epochs(self, cache: WorkCache, on_epoch: OnEpoch | None) -> tuple[Tensors, list[Epoch]]:
        """Run the remaining epochs; returns the best averaged weights and the figures of all epochs."""
        state, epochs = load_state(cache)
        best = {name.removeprefix(BEST): tensor for name, tensor in state.items() if name.startswith(BEST)}
        if epochs:
            self.trainer.restore(state)
        live = _open_live(cache.folder / LIVE, epochs)
        with open_progress(self.params.epochs * self.plan.images, len(epochs) * self.plan.images) as progress:
            for number in range(len(epochs), self.params.epochs):
                epoch = self._run_epoch(number, progress)
                if all(_score(epoch).beats(_score(earlier)) for earlier in epochs):
                    best = {name: tensor.clone() for name, tensor in self.trainer.average.state_dict().items()}
                epochs.append(epoch)
                save_state(cache, self.trainer.tensors() | {BEST + name: best[name] for name in best}, epochs)
                _log(live, epoch)
                progress.console.print(describe_epoch(epoch, self.params.epochs))
                if on_epoch is not None:
                    on_epoch(epoch)
        if live is not None:
            live.end()
        return best, epochs

    def _run_epoch(self, number: int, progress: Progress) -> Epoch:
        start = time.perf_counter()
        losses = []
        rate = 0.0
        for index, batch in enumerate(load_epoch(self.train, self.plan, self.params, number, self.pool)):
            rate = learning_rate(self.params, number * self.plan.batches + index, self.plan.batches)
            losses.append(self.trainer.step(batch, rate))
            speed = len(losses) * self.plan.batch_size / (time.perf_counter() - start)
            progress.update(progress.task_ids[0], advance=self.plan.batch_size, speed=f"{speed:.0f}")
        training_seconds = time.perf_counter() - start
        score = self.trainer.evaluate(self.val.read, self.val.targets)
        loss = sum(losses) / len(losses)
        if not math.isfinite(loss) or not math.isfinite(score.loss):
            raise ModelError(
                f"params.yaml train.learning_rate: {self.params.learning_rate}; in epoch {number + 1} the loss is not "
                f"finite; expected a rate at which training converges: try {self.params.learning_rate / 4:g}"
            )
        return Epoch(
            epoch=number + 1,
            train_loss=loss,
            val_loss=score.loss,
            val_accuracy=score.accuracy,
            learning_rate=rate,
            images_per_second=self.plan.images / training_seconds,
            seconds=time.perf_counter() - start,
        )


def _kept(cache: WorkCache, epochs: int) -> str:
    return f"{len(load_state(cache)[1])} of {epochs} epochs are kept in {cache.folder.parent}"


def _score(epoch: Epoch) -> Score:
    return Score(epoch.val_accuracy, epoch.val_loss)


def _open_live(folder: Path, epochs: Sequence[Epoch]) -> Any:  # noqa: ANN401 - DVCLive is untyped
    """Open a new DVCLive log and write the epochs so far; None outside a DVC repository, which DVCLive would create."""
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo
    from dvclive import Live

    try:
        Repo.find_root()
    except NotDvcRepoError:
        return None
    live = Live(str(folder), save_dvc_exp=False, dvcyaml=None, report=None)
    for epoch in epochs:
        _log(live, epoch)
    return live


def _log(live: Any, epoch: Epoch) -> None:  # noqa: ANN401 - DVCLive is untyped
    if live is None:
        return
    for name, value in epoch.model_dump(exclude={"epoch"}).items():
        live.log_metric(name, value)
    live.next_step()

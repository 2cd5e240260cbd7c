"""Stage: training rows and their images -> a checkpoint.

Reads image rows and shards; writes OUT/model.safetensors, OUT/config.json, metrics/train.json, plots/train.csv and the
section ``train`` of metrics/machine.json. During training, OUT.work/ beside OUT holds the state after the last epoch
and DVCLive's files, to watch progress; a later command removes it (``pipeline.data.finished_work``).

``train.method: full`` trains all weights, ``head`` fits a head to frozen features (``pipeline.train.feature_head``): an
epoch is one augmented pass over the images, and the last one is saved. The rest of this text is about ``full``.

An epoch has as many images as there are training rows (rounded down to whole batches), equally many of each label, with
new augmentation in every epoch; a resumed training sees the images that an uninterrupted one would. The checkpoint has
the averaged weights (EMA) of the epoch with the highest validation accuracy; ties go to the lower loss, then to the
earlier epoch. Its threshold follows from its probabilities for the validation rows and the costs of errors. Equal rows,
params and machine give equal bytes, for any number of threads.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pipeline.config.params import TrainParams
from pipeline.data.finished_work import mark_finished, work_area
from pipeline.data.hashing import sha256_of
from pipeline.data.machine_figures import Figures
from pipeline.data.preprocess import PreprocessSpec
from pipeline.data.records import Image, more_images
from pipeline.data.shards import INDEX
from pipeline.data.work_cache import WorkCache, open_work, work_key
from pipeline.errors import DataError, ModelError, ParamsError, report_kept
from pipeline.metrics.decision_threshold import Costs, choose_operating_point, fit_temperature
from pipeline.train.data_loader import EpochPlan, ImageDataset, load_epoch
from pipeline.train.feature_classifier import FeatureClassifier
from pipeline.train.feature_head import FeatureTable, Pictures, fit_head, weigh_cells
from pipeline.train.model import Architecture, CheckpointConfig, build_classifier, save_checkpoint
from pipeline.train.package_weights import check_preprocessing, find_package_weights
from pipeline.train.trainer import Score, Tensors, Trainer, reproducible_pool, split_batch
from pipeline.train.training_state import MACHINE_FIELDS, Epoch, load_state, save_state

OnEpoch = Callable[[Epoch], None]
BEST = "best."
LIVE = "live"
"""Folder of DVCLive's files within the work area; a log for people, no entry of it."""
PACKAGES = ("numpy", "pillow", "timm", "torch")
"""Their versions are part of the work area's key."""


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
class TrainResult:
    """Result of a training, beside the checkpoint on disk.

    Attributes:
        config: Contents of OUT/config.json.
        metrics: Contents of metrics/train.json: figures of the saved epoch, and ids of checkpoint and images.
        machine: Section ``train`` of metrics/machine.json.
        curve: Rows of plots/train.csv, one per epoch.
    """

    config: CheckpointConfig
    metrics: dict[str, Any]
    machine: Figures
    curve: tuple[dict[str, float], ...]


def run(
    params: TrainParams, labels: Sequence[str], rows: TrainRows, out: Path, on_epoch: OnEpoch | None = None
) -> TrainResult:
    """Train a checkpoint; a killed training resumes after its last complete epoch.

    Args:
        params: The train section.
        labels: In the order of the outputs; the last is the positive one.
        rows: Training and validation rows.
        out: Folder of the checkpoint; OUT.work/ beside it is the work area.
        on_epoch: Called after each epoch, when its state is on disk.

    Raises:
        DataError: No rows, a label without training rows, or rows of a label that is not among ``labels``.
        ParamsError: An unknown backbone, or a batch size of one.
        ModelError: The pretrained weights do not fit, or the loss is not finite.
    """
    _check(params, labels, rows)
    cache = open_work(work_area(out), _work_key(params, labels, rows))
    with reproducible_pool(params) as pool:
        train = _train_head if params.method == "head" else _train_fully
        trained = train(_Data(params, labels, rows, pool), cache, on_epoch)
    epochs = trained.epochs
    costs = rows.costs.by_rule(params.decision)
    temperature = fit_temperature(trained.probabilities, trained.targets)
    config = CheckpointConfig(
        backbone=params.backbone,
        padding=params.padding,
        labels=tuple(labels),
        preprocess=input_spec(params),
        threshold=choose_operating_point(temperature, costs, len(labels)).threshold,
        temperature=temperature,
        checkpoint_id="",
        dataset_id=dataset_id(rows),
        method=params.method,
        decision=params.decision,
        weights_source=find_package_weights(params.backbone).source if params.pretrained == "package" else None,
    )
    config = save_checkpoint(out, trained.network, config)
    mark_finished(cache, out)
    curve = tuple(epoch.model_dump(exclude=set(MACHINE_FIELDS)) for epoch in epochs)
    metrics = _metrics(trained, config, rows)
    return TrainResult(config, metrics, _machine_figures(epochs, trained.images_per_epoch), curve)


def dataset_id(rows: TrainRows) -> str:
    """Compute SHA-256 over id, label and image hash of the training rows, then of the validation rows."""
    digest = hashlib.sha256()
    for name, images in (("train", rows.train), ("val", rows.val)):
        for image in images:
            digest.update(json.dumps([name, image.id, image.label, image.sha256]).encode())
    return digest.hexdigest()


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


@dataclass(frozen=True, slots=True)
class _Trained:
    """What a training method returns.

    Attributes:
        network: With the weights to save.
        epochs: Figures of all epochs.
        saved: The epoch whose weights are saved.
        probabilities: Of the validation rows, float64 (rows, labels).
        targets: Label index of every validation row, int64 (rows,).
        images_per_epoch: Training images per epoch.
    """

    network: torch.nn.Module
    epochs: Sequence[Epoch]
    saved: Epoch
    probabilities: NDArray[np.float64]
    targets: NDArray[np.int64]
    images_per_epoch: int


class _Data:
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
            params.method, params.backbone, len(self.labels), params.padding, self.spec.input_size
        )
        with torch.random.fork_rng():
            torch.manual_seed(params.seed)
            return build_classifier(architecture, params.pretrained)


def input_spec(params: TrainParams) -> PreprocessSpec:
    """How pixels become the input of the network."""
    return PreprocessSpec(
        input_size=(params.input_height, params.input_width), fit=params.fit, mean=params.mean, std=params.std
    )


def _train_fully(data: _Data, cache: WorkCache, on_epoch: OnEpoch | None) -> _Trained:
    training = _Training(data)
    with report_kept(lambda: _kept(cache, data.params.epochs)):
        best, epochs = training.run_epochs(cache, on_epoch)
    network = training.trainer.average
    network.load_state_dict(best)
    probabilities = training.trainer.probabilities(data.val.read, len(data.rows.val))
    saved = max(epochs, key=lambda epoch: (epoch.val_accuracy, -epoch.val_loss))
    return _Trained(network, epochs, saved, probabilities, data.val.targets, training.plan.images)


def _train_head(data: _Data, cache: WorkCache, on_epoch: OnEpoch | None) -> _Trained:
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
        _progress(params.epochs * images + 2 * len(val.targets), 0) as progress,
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
            progress.console.print(_line(epochs[-1], params.epochs))
            if on_epoch is not None:
                on_epoch(epochs[-1])
    network.set_head(fitted.weight, fitted.bias)
    return _Trained(network, epochs, epochs[-1], fitted.val_probabilities, val.targets, images)


class _Training:
    """Trainer and the loop over epochs."""

    def __init__(self, data: _Data) -> None:
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
        with _progress(self.params.epochs * self.plan.images, len(epochs) * self.plan.images) as progress:
            for number in range(len(epochs), self.params.epochs):
                epoch = self._run_epoch(number, progress)
                if all(_score(epoch).beats(_score(earlier)) for earlier in epochs):
                    best = {name: tensor.clone() for name, tensor in self.trainer.average.state_dict().items()}
                epochs.append(epoch)
                save_state(cache, self.trainer.tensors() | {BEST + name: best[name] for name in best}, epochs)
                _log(live, epoch)
                progress.console.print(_line(epoch, self.params.epochs))
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


def _check(params: TrainParams, labels: Sequence[str], rows: TrainRows) -> None:
    if params.method == "head" and params.pretrained == "none":
        raise ParamsError(
            "params.yaml train.pretrained: none with train.method: head; expected package, hub or a .safetensors file: "
            "features of random weights tell nothing apart"
        )
    if params.pretrained == "package":
        check_preprocessing(find_package_weights(params.backbone), params.padding, params.mean, params.std)
    if params.batch_size < 2:
        raise ParamsError("params.yaml train.batch_size: 1; expected at least 2: one image has no batch statistics")
    counts = Counter(image.label for image in rows.train)
    expected = f"expected rows of {', '.join(labels)}"
    for name, images in (("training", rows.train), ("validation", rows.val)):
        if not images:
            raise DataError(f"{name} rows: found none; {expected}; {more_images(rows.train)}, then: dvc repro")
        unknown = sorted({image.label for image in images} - set(labels))
        if unknown:
            raise DataError(f"{name} rows: label {unknown[0]!r}; {expected}; the policy has changed: dvc repro")
    for label in labels:
        if not counts[label]:
            found = ", ".join(f"{count} of {name}" for name, count in sorted(counts.items()))
            raise DataError(f"training rows: found {found}, none of {label}; {expected}; see data/rejected.jsonl")


def _work_key(params: TrainParams, labels: Sequence[str], rows: TrainRows) -> str:
    """Hash all that the weights depend on; the number of threads is not among it."""
    inputs = {
        "params": params.model_dump(mode="json", exclude={"threads"}),
        "labels": labels,
        "dataset": dataset_id(rows),
        "pretrained": Path(params.pretrained),  # none, package and hub are no files
    }
    return work_key(inputs, (__name__,), PACKAGES)


def _kept(cache: WorkCache, epochs: int) -> str:
    return f"{len(load_state(cache)[1])} of {epochs} epochs are kept in {cache.folder.parent}"


def _score(epoch: Epoch) -> Score:
    return Score(epoch.val_accuracy, epoch.val_loss)


def _metrics(trained: _Trained, config: CheckpointConfig, rows: TrainRows) -> dict[str, Any]:
    origins = Counter(row.generator or "photographs" for row in rows.train)
    return {
        "val_accuracy": trained.saved.val_accuracy,
        "val_loss": trained.saved.val_loss,
        "best_epoch": trained.saved.epoch,
        "epochs": len(trained.epochs),
        "images": len(rows.train),
        "parameters": sum(parameter.numel() for parameter in trained.network.parameters()),
        "backbone": config.backbone,
        "method": config.method,
        "pretrained": None if config.weights_source is None else config.weights_source.model_dump(),
        "origins": dict(sorted(origins.items())),
        "labels": {label: sum(row.label == label for row in rows.train) for label in config.labels},
        "checkpoint_id": config.checkpoint_id,
        "index_sha256": sha256_of(rows.images / INDEX) if (rows.images / INDEX).is_file() else "",
    }


def _machine_figures(epochs: Sequence[Epoch], images: int) -> Figures:
    """Speed over all epochs, those before a restart included."""
    seconds = sum(images / epoch.images_per_second for epoch in epochs)
    return {
        "images_per_second": round(images * len(epochs) / seconds, 1),
        "seconds": round(sum(epoch.seconds for epoch in epochs), 1),
    }


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


def _progress(total: int, completed: int) -> Progress:
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


def _line(epoch: Epoch, epochs: int) -> str:
    return (
        f"epoch {epoch.epoch}/{epochs}: train loss {epoch.train_loss:.4f}, val loss {epoch.val_loss:.4f}, "
        f"val accuracy {epoch.val_accuracy:.4f}, {epoch.images_per_second:.0f} images/s"
    )

"""Stage: training rows and their images -> a checkpoint.

Reads image rows and shards; writes OUT/model.safetensors, OUT/config.json, metrics/train.json, plots/train.csv and the
section ``train`` of metrics/machine.json. During training, OUT.work/ beside OUT holds the state after the last epoch
and DVCLive's files, to watch progress; a later command removes it (``pipeline.data.finished_work``).

``train.method`` is ``full`` (``pipeline.train.full_training``) or ``head`` (``pipeline.train.head.training``). The
threshold follows from the probabilities of the validation rows, the costs of errors and ``train.decision``. Equal
rows, params and machine give equal bytes, for any number of threads.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config.params import TrainParams
from pipeline.data.finished_work import mark_finished, work_area
from pipeline.data.hashing import sha256_of
from pipeline.data.machine_figures import Figures
from pipeline.data.records import more_images
from pipeline.data.shards import INDEX
from pipeline.data.work_cache import open_work, work_key
from pipeline.errors import DataError, ParamsError
from pipeline.metrics.decision_threshold import choose_operating_point, fit_temperature
from pipeline.train.full_training import train_fully
from pipeline.train.head.training import train_head
from pipeline.train.method import OnEpoch, Trained, TrainingData, TrainRows, input_spec
from pipeline.train.model import CheckpointConfig, save_checkpoint
from pipeline.train.package_weights import check_preprocessing, find_package_weights
from pipeline.train.trainer import reproducible_pool
from pipeline.train.training_state import MACHINE_FIELDS, Epoch

PACKAGES = ("numpy", "pillow", "timm", "torch")
"""Their versions are part of the work area's key."""


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
        train = train_head if params.method == "head" else train_fully
        trained = train(TrainingData(params, labels, rows, pool), cache, on_epoch)
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
        expert=params.expert and params.method == "head",
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


def _metrics(trained: Trained, config: CheckpointConfig, rows: TrainRows) -> dict[str, Any]:
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

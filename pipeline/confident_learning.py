"""Labels judged by a network that never saw them: thumbnails and labels -> out-of-fold probabilities -> doubted labels.

Confident learning (Northcutt et al., "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 70, 2021;
cleanlab's implementation) on the probabilities of a small convolutional network, trained from scratch in each fold.
Folds keep groups whole: the counterfactual of a scene never teaches the answer to it. Reads and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.engines.local import run_jobs
from pipeline.errors import DataError
from pipeline.metrics import wilson_interval

if TYPE_CHECKING:
    import torch
    from torch import nn

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

THUMBNAIL = (64, 48)
"""(height, width) in pixels of what the network looks at."""
WIDTHS = (12, 24, 48, 96, 128)
BATCH = 32
LEARNING_RATE = 0.005
WEIGHT_DECAY = 0.01


@dataclass(frozen=True, slots=True)
class Labelled:
    """What is judged.

    Attributes:
        thumbnails: uint8 (n, 64, 48, 3), RGB.
        targets: int64 (n,), indices into labels.
        groups: n names; images of one group lie in one fold.
        labels: Names of the labels.
    """

    thumbnails: NDArray[np.uint8]
    targets: Ints
    groups: list[str]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the network learns; the same recipe and images give the same probabilities.

    Folds are learned side by side in ``workers`` processes of one thread each, which changes nothing but the time.
    """

    folds: int
    epochs: int
    workers: int
    seed: int


@dataclass(frozen=True, slots=True)
class _Fold:
    """One fold to learn; picklable. ``seen`` and ``held_out`` are row numbers."""

    rows: Labelled
    seen: Ints
    held_out: Ints
    epochs: int
    seed: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """What out-of-fold probabilities say of n labels.

    Attributes:
        probabilities: float64 (n, labels), rows sum to one, each from a network that saw no image of its group.
        doubted: bool (n,), whether confident learning takes the label for an error.
        accuracy: Share of labels that the network agrees with.
        informative: Whether that is surely more than naming the commonest label would get; if not, nothing is doubted.
    """

    probabilities: Floats
    doubted: NDArray[np.bool_]
    accuracy: float
    informative: bool


def judge_labels(rows: Labelled, recipe: Recipe, advance: Callable[[], None]) -> Judgement:
    """Find labels that images contradict; ``advance`` is called after each fold.

    Raises:
        DataError: There are fewer images or groups of a label than folds.
    """
    probabilities = out_of_fold_probabilities(rows, recipe, advance)
    right = int((probabilities.argmax(axis=1) == rows.targets).sum())
    commonest = float(np.bincount(rows.targets).max()) / len(rows.targets)
    informative = wilson_interval(right, len(rows.targets))[0] > commonest
    doubted = _doubt(rows.targets, probabilities) if informative else np.zeros(len(rows.targets), bool)
    return Judgement(probabilities, doubted, right / len(rows.targets), informative)


def _doubt(targets: Ints, probabilities: Floats) -> NDArray[np.bool_]:
    from cleanlab.filter import find_label_issues

    return np.asarray(find_label_issues(targets, probabilities, filter_by="prune_by_noise_rate", n_jobs=1), bool)


def label_scores(targets: Ints, probabilities: Floats) -> Floats:
    """Score n labels by cleanlab's self-confidence, float64 (n,) in [0, 1]: the probability of the label given."""
    from cleanlab.rank import get_label_quality_scores

    return np.asarray(get_label_quality_scores(targets, probabilities, method="self_confidence"), np.float64)


def out_of_fold_probabilities(rows: Labelled, recipe: Recipe, advance: Callable[[], None]) -> Floats:
    """Predict each image by a network trained on the other folds; float64 (n, labels).

    Raises:
        DataError: There are fewer images or groups of a label than folds.
    """
    folds = [
        _Fold(rows, seen, held_out, recipe.epochs, recipe.seed + number)
        for number, (seen, held_out) in enumerate(_folds(rows, recipe))
    ]
    probabilities = np.zeros((len(rows.targets), len(rows.labels)))
    for held_out, predicted in run_jobs(_learn_fold, folds, recipe.workers):
        probabilities[held_out] = predicted
        advance()
    return probabilities


def _learn_fold(fold: _Fold) -> tuple[Ints, Floats]:
    """Learn on the seen rows and predict the others; neither torch's threads nor its random state are left changed."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(fold.seed)
            network = _train(fold.rows, fold.seen, fold.epochs)
        return fold.held_out, _predict(network, fold.rows.thumbnails[fold.held_out])
    finally:
        torch.set_num_threads(threads)


def _folds(rows: Labelled, recipe: Recipe) -> Iterator[tuple[Ints, Ints]]:
    from sklearn.model_selection import StratifiedGroupKFold

    place = f"params.yaml curate.folds: {recipe.folds}"
    groups = np.asarray(rows.groups)
    for index, label in enumerate(rows.labels):
        mine = rows.targets == index
        images, scenes = int(mine.sum()), len(set(groups[mine]))
        if scenes < recipe.folds:
            raise DataError(
                f"{place}; found {images} images of {label} in {scenes} groups that passed the filters; expected at "
                f"least {recipe.folds} groups of each label, one a fold; generate more images (prompts.count) or lower "
                "curate.folds"
            )
    splitter = StratifiedGroupKFold(recipe.folds, shuffle=True, random_state=recipe.seed)
    for seen, held_out in splitter.split(np.zeros(len(groups)), rows.targets, groups):
        absent = set(range(len(rows.labels))) - set(rows.targets[seen].tolist())
        if absent or not len(held_out):
            names = ", ".join(rows.labels[index] for index in sorted(absent)) or "any label"
            raise DataError(f"{place}; a fold is left without images of {names}; lower curate.folds or add groups")
        yield seen, held_out


def _build(labels: int) -> nn.Module:
    from torch import nn

    layers: list[nn.Module] = []
    channels = 3
    for width in WIDTHS:
        layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
        channels = width
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(channels, labels)]
    return nn.Sequential(*layers)


def _normalise(thumbnails: NDArray[np.uint8]) -> torch.Tensor:
    """Stretch each picture to zero mean and unit deviation: night looks like day to the network."""
    import torch

    batch = torch.from_numpy(thumbnails).permute(0, 3, 1, 2).float() / 255
    centred = batch - batch.mean((1, 2, 3), keepdim=True)
    spread = batch.std((1, 2, 3), keepdim=True) + 0.02
    return (centred / spread).contiguous(memory_format=torch.channels_last)


def _train(rows: Labelled, seen: Ints, epochs: int) -> nn.Module:
    import torch
    from torch import nn

    network = _build(len(rows.labels)).to(memory_format=torch.channels_last)
    targets = torch.from_numpy(rows.targets)
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    batches = max(1, len(seen) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=epochs * batches + 1)
    for _ in range(epochs):
        order = torch.randperm(len(seen)).numpy()
        for picked in np.array_split(seen[order], batches):
            pictures = _normalise(rows.thumbnails[picked])
            mirrored = torch.rand(len(picked), 1, 1, 1) < 0.5
            pictures = torch.where(mirrored, pictures.flip(3), pictures)
            loss = nn.functional.cross_entropy(network(pictures), targets[picked])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
            optimiser.step()
            schedule.step()
    return network.eval()


def _predict(network: nn.Module, thumbnails: NDArray[np.uint8]) -> Floats:
    """Mean probabilities of each picture and its mirror image, float64 (n, labels), rows sum to one."""
    import torch

    parts: list[Floats] = []
    with torch.inference_mode():
        for start in range(0, len(thumbnails), 256):
            pictures = _normalise(thumbnails[start : start + 256])
            both = network(pictures).softmax(1) + network(pictures.flip(3)).softmax(1)
            parts.append(both.double().numpy())
    stacked = np.concatenate(parts)
    return np.asarray(stacked / stacked.sum(axis=1, keepdims=True), np.float64)

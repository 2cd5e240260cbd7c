"""Label errors: two predictors that never saw an image's label, pooled into one probability of that label.

- ``out_of_fold``: a linear probe (logistic regression on frozen features, as in the linear evaluation of SimCLR,
  arXiv 2002.05709) trained on the verifier's features and the labels of the other folds. Folds keep groups whole, so
  that no scene reveals the label of its own counterfactual. Probabilities are averaged over several partitions into
  folds.
- ``verifier``: a plug-in of ``pipeline.curate.verifiers``, trained on none of these labels.

A predictor is used only if it agrees with the labels significantly more often than the most frequent label would. The
predictors in use are combined by a logarithmic opinion pool of equal weights (Genest and Zidek, "Combining Probability
Distributions", Statistical Science 1, 1986): a low pooled probability needs both predictors, or one that is nearly
certain. The score of a label is cleanlab's self-confidence, its pooled probability. The number of wrong labels is
estimated by confident learning (Northcutt et al., JAIR 70, 2021). Reads and writes no files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.statistics import wilson_interval

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

REGULARISATION = 15.0
"""The probe's C is this divided by the number of images: a strong L2 penalty keeps it from memorising wrong labels."""
MAX_PROBE_IMAGES = 10_000
"""Images at most that a probe is trained on, so that memory does not grow with the set."""
ROWS_PER_READ = 2_000
MIN_PROBABILITY = 1e-3
"""Probabilities are clipped to [this, 1 - this] before pooling, so that one predictor alone cannot rule a label out."""


class FeatureReader(Protocol):
    """Reads the verifier's features of some images."""

    def __call__(self, rows: Ints) -> NDArray[np.float32]:
        """Read features: int64 (rows,) -> float32 (rows, width)."""


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """n images whose labels are checked.

    Attributes:
        features: Reads features by row.
        targets: Indices into ``labels``, int64 (n,).
        groups: n group names; images of one group are in the same fold.
        labels: Names of the labels.
        verifier_probabilities: float64 (n, labels), rows sum to one.
        more_images: How to get more images, for messages.
    """

    features: FeatureReader
    targets: Ints
    groups: Sequence[str]
    labels: tuple[str, ...]
    verifier_probabilities: Floats
    more_images: str = "add images"


@dataclass(frozen=True, slots=True)
class ProbeConfig:
    """How probes are trained; equal configs and features give equal probabilities.

    Attributes:
        folds: Number of folds, 2 or more.
        repeats: Number of partitions into folds.
        seed: Seed of the first partition; each repeat adds one.
    """

    folds: int
    repeats: int
    seed: int


@dataclass(frozen=True, slots=True)
class LabelPredictor:
    """Predictions of one predictor for n labels.

    Attributes:
        name: "out_of_fold" or "verifier".
        probabilities: float64 (n, labels), rows sum to one.
        agreement: Share of labels that equal its most probable label, in [0, 1].
        chance: Share of the most frequent label: the agreement of a predictor that knows nothing else, in [0, 1].
        exclusion: Why it is not pooled; empty if it is.
    """

    name: str
    probabilities: Floats
    agreement: float
    chance: float
    exclusion: str

    @property
    def is_weak(self) -> bool:
        """Whether it agrees with fewer labels than halfway between chance and all."""
        return self.agreement < (1 + self.chance) / 2


@dataclass(frozen=True, slots=True)
class LabelQuality:
    """Quality of n labels.

    Attributes:
        predictors: Both predictors, excluded or not.
        probabilities: Pooled probabilities, float64 (n, labels), rows sum to one.
        scores: Pooled probability of the given label, float64 (n,) in [0, 1]; ones if both predictors are excluded.
        expected_errors: Number of wrong labels that confident learning estimates.
    """

    predictors: tuple[LabelPredictor, ...]
    probabilities: Floats
    scores: Floats
    expected_errors: int


def score_labels(images: LabelledSet, config: ProbeConfig, advance: Callable[[], None]) -> LabelQuality:
    """Score every label; ``advance`` is called after each of the ``folds * repeats`` probes."""
    from cleanlab.count import num_label_issues
    from cleanlab.rank import get_label_quality_scores

    predictors = (
        _train_probes(images, config, advance),
        evaluate_predictor("verifier", images.verifier_probabilities, images.targets),
    )
    used = [predictor.probabilities for predictor in predictors if not predictor.exclusion]
    if not used:
        uniform = np.full(images.verifier_probabilities.shape, 1 / len(images.labels))
        return LabelQuality(predictors, uniform, np.ones(len(images.targets)), 0)
    pooled = pool_probabilities(used)
    scores = get_label_quality_scores(images.targets, pooled, method="self_confidence")
    expected_errors = int(num_label_issues(images.targets, pooled))
    return LabelQuality(predictors, pooled, np.asarray(scores, np.float64), expected_errors)


def pool_probabilities(predictions: Sequence[Floats]) -> Floats:
    """Combine predictions by a logarithmic opinion pool: the normalised geometric mean.

    Args:
        predictions: One array per predictor, float64 (n, labels), rows sum to one.

    Returns:
        float64 (n, labels), rows sum to one.
    """
    clipped = [np.clip(probabilities, MIN_PROBABILITY, 1 - MIN_PROBABILITY) for probabilities in predictions]
    pooled = np.exp(np.mean(np.log(clipped), axis=0))
    return np.asarray(pooled / pooled.sum(axis=1, keepdims=True), np.float64)


def evaluate_predictor(name: str, probabilities: Floats, targets: Ints) -> LabelPredictor:
    """Exclude a predictor unless it agrees with significantly more labels than the most frequent label alone.

    Args:
        name: "out_of_fold" or "verifier".
        probabilities: float64 (n, labels), rows sum to one.
        targets: Label indices, int64 (n,).
    """
    agreeing = int((probabilities.argmax(axis=1) == targets).sum())
    most_frequent = int(np.bincount(targets).max())
    chance = most_frequent / len(targets)
    is_informative = wilson_interval(agreeing, len(targets))[0] > chance
    exclusion = (
        f"it agrees with {agreeing} of {len(targets)} labels, not significantly more than the {most_frequent} of the "
        "most frequent label"
    )
    return LabelPredictor(name, probabilities, agreeing / len(targets), chance, "" if is_informative else exclusion)


def out_of_fold_probabilities(images: LabelledSet, config: ProbeConfig, advance: Callable[[], None]) -> Floats:
    """Predict each image with probes trained on the other folds, averaged over repeats: float64 (n, labels)."""
    probabilities = np.zeros((len(images.targets), len(images.labels)))
    for seed, training, held_out in _folds(images, config):
        probabilities[held_out] += _probe(images, training, held_out, seed) / config.repeats
        advance()
    return probabilities


def _train_probes(images: LabelledSet, config: ProbeConfig, advance: Callable[[], None]) -> LabelPredictor:
    exclusion = _find_missing_groups(images, config)
    if exclusion:
        uniform = np.full(images.verifier_probabilities.shape, 1 / len(images.labels))
        chance = float(np.bincount(images.targets).max()) / len(images.targets)
        return LabelPredictor("out_of_fold", uniform, 0.0, chance, exclusion)
    return evaluate_predictor("out_of_fold", out_of_fold_probabilities(images, config, advance), images.targets)


def _find_missing_groups(images: LabelledSet, config: ProbeConfig) -> str:
    """Describe a label that has fewer groups than folds; empty if there is none."""
    groups = np.asarray(images.groups)
    for index, label in enumerate(images.labels):
        rows = images.targets == index
        scenes = len(set(groups[rows]))
        if scenes < config.folds:
            return (
                f"only {int(rows.sum())} images of {label} in {scenes} groups passed the earlier checks; expected at "
                f"least {config.folds} groups, one per fold: {images.more_images}, or lower curate.folds"
            )
    return ""


def _folds(images: LabelledSet, config: ProbeConfig) -> Iterator[tuple[int, Ints, Ints]]:
    """Yield (seed, training rows, held-out rows) of each probe."""
    from sklearn.model_selection import StratifiedGroupKFold

    for seed in range(config.seed, config.seed + config.repeats):
        splitter = StratifiedGroupKFold(config.folds, shuffle=True, random_state=seed)
        for training, held_out in splitter.split(np.zeros(len(images.targets)), images.targets, images.groups):
            yield seed, training, held_out


def _probe(images: LabelledSet, training: Ints, held_out: Ints, seed: int) -> Floats:
    """Train one probe and predict the held-out rows: float64 (held out, labels)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    chosen = np.sort(np.random.default_rng(seed).permutation(training)[:MAX_PROBE_IMAGES])
    probe = make_pipeline(StandardScaler(copy=False), LogisticRegression(C=REGULARISATION / len(chosen), max_iter=1000))
    probe.fit(images.features(chosen), images.targets[chosen])
    parts = [held_out[first : first + ROWS_PER_READ] for first in range(0, len(held_out), ROWS_PER_READ)]
    return np.concatenate([probe.predict_proba(images.features(part)) for part in parts])

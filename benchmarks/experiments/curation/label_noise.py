"""How well changed labels are found: by each label predictor of curation, by both pooled, and by plain cleanlab.

Reads a folder of images whose labels are certain, and changes them in memory; caches features in the work area.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.experiment_harness.planted_errors import DetectionScore, Mask, choose, relabel, score
from pipeline.config.params import CurateParams
from pipeline.config.policy import Policy
from pipeline.curate.feature_cache import CacheOptions, compute_features, load_verifier_spec
from pipeline.curate.label_errors import LabelledSet, ProbeConfig, score_labels
from pipeline.data.shards import read_index

CLUSTERED, UNIFORM = "clustered", "uniform"


@dataclass(frozen=True, slots=True)
class LabelNoise:
    """Labels to change.

    Attributes:
        labels: All labels of the policy.
        shares: Shares of labels to change.
        slice: (factor, value) of the images whose labels clustered noise changes.
        seed: Seed of the choice.
    """

    labels: tuple[str, ...]
    shares: Sequence[float]
    slice: tuple[str, str]
    seed: int


def score_noise(
    folder: Path, cache: Path, noise: LabelNoise, params: CurateParams, policy: Policy
) -> dict[str, dict[str, DetectionScore]]:
    """Change labels and search for them.

    Args:
        folder: Folder of the images.
        cache: Folder of cached features.
        noise: Labels to change.
        params: Params of curation.
        policy: The policy.

    Returns:
        Method -> share of changed labels, e.g. "0.05" -> score. Methods: ``uniform`` and ``clustered`` (curation's
        pooled scores), PREDICTOR_uniform, PREDICTOR_clustered, ``cleanlab_default`` and ``cleanlab_default_clustered``.
    """
    images = read_index(folder)
    options = CacheOptions(cache, params.workers)
    computed = compute_features(folder, images, load_verifier_spec(params, policy), options, lambda _: None)
    rows = np.arange(len(images))
    features, verified = computed.features(rows), computed.column("probabilities")
    config = ProbeConfig(params.folds, params.repeats, params.seed)
    scores: dict[str, dict[str, DetectionScore]] = {}
    for mode, within in ((UNIFORM, None), (CLUSTERED, noise.slice)):
        for share in noise.shares:
            wrong = choose(images, share, noise.seed, within)
            relabelled = relabel(images, wrong, noise.labels)
            targets = np.asarray([noise.labels.index(image.label) for image in relabelled], np.int64)
            groups = [image.group for image in relabelled]
            labelled = LabelledSet(computed.features, targets, groups, noise.labels, verified)
            quality = score_labels(labelled, config, lambda: None)
            accused = {mode: quality.scores < params.label_error}
            for predictor in quality.predictors:
                accused[f"{predictor.name}_{mode}"] = predictor.probabilities[rows, targets] < params.label_error
            suffix = "" if mode == UNIFORM else f"_{mode}"
            accused[f"cleanlab_default{suffix}"] = find_issues_by_default(features, targets)
            for name, mask in accused.items():
                scores.setdefault(name, {})[f"{share:.2f}"] = score(mask, wrong)
    return scores


def find_issues_by_default(features: NDArray[np.float32], targets: NDArray[np.int64]) -> Mask:
    """Find label issues as in cleanlab's documentation: all defaults, cross-validated probabilities.

    Args:
        features: float32 (n, width).
        targets: Labels as indices, int64 (n,).
    """
    from cleanlab.filter import find_label_issues
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    model = LogisticRegression(max_iter=1000)
    probabilities = cross_val_predict(model, features, targets, cv=5, method="predict_proba")
    return np.asarray(find_label_issues(targets, probabilities, n_jobs=1), np.bool_)

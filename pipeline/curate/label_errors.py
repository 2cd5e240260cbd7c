"""Labels judged by two that never saw them: features and labels -> two opinions -> one probability of every label.

- Out of fold: a linear probe (logistic regression, as representations are judged by since SimCLR) on the verifier's
  features learns the labels of the other folds; folds keep groups whole, so that no scene teaches the answer to its own
  counterfactual. It is learned several times on other folds and averaged, so that one lucky fold decides nothing.
- The verifier, which has learned from none of these labels.

An opinion counts only where it agrees with the labels surely more often than the commonest label alone would. Those
that count are pooled with equal weights, as logarithms (Genest and Zidek, "Combining Probability Distributions",
Statistical Science 1, 1986): doubt needs both, or one that is all but certain. A label's score is cleanlab's
self-confidence. How many labels are wrong in all is estimated by confident learning (Northcutt et al., JAIR 70, 2021).
Reads and writes nothing.
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

STRENGTH = 15.0
"""Inverse strength of the probe's L2 penalty, a picture: wrong labels are not to be learned by heart."""
LEARNED_FROM = 10_000
"""Pictures at most that a probe learns from, so that memory does not grow with the set."""
READ_AT_ONCE = 2_000
LEAST = 1e-3
"""No opinion is surer than this of anything: one alone cannot rule a label out against the other."""


class Features(Protocol):
    """Gives what was seen in some of n pictures."""

    def __call__(self, rows: Ints) -> NDArray[np.float32]:
        """Read float32 (rows, width)."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """What is judged.

    Attributes:
        features: Gives the features of pictures by their row.
        targets: int64 (n,), indices into labels.
        groups: n names; images of one group lie in one fold.
        labels: Names of the labels.
        verified: float64 (n, labels), the verifier's probabilities.
    """

    features: Features
    targets: Ints
    groups: Sequence[str]
    labels: tuple[str, ...]
    verified: Floats


@dataclass(frozen=True, slots=True)
class Recipe:
    """How probes learn; the same recipe and features give the same probabilities."""

    folds: int
    repeats: int
    seed: int


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one of the two says of n labels.

    Attributes:
        name: "out_of_fold" or "verifier".
        probabilities: float64 (n, labels), rows sum to one.
        agreement: Share of labels it agrees with.
        unheard: Why it does not count; empty where it does.
    """

    name: str
    probabilities: Floats
    agreement: float
    unheard: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the opinions say together of n labels.

    Attributes:
        opinions: Both.
        probabilities: float64 (n, labels), rows sum to one; pooled.
        scores: float64 (n,) in [0, 1], the probability of the label given; ones where no opinion counts.
        expected_errors: How many labels confident learning takes for wrong.
    """

    opinions: tuple[Opinion, ...]
    probabilities: Floats
    scores: Floats
    expected_errors: int


def judge_labels(rows: Labelled, recipe: Recipe, advance: Callable[[], None]) -> Judgement:
    """Judge every label; ``advance`` is called after each of ``folds * repeats`` probes."""
    from cleanlab.count import num_label_issues
    from cleanlab.rank import get_label_quality_scores

    opinions = (_ask_probes(rows, recipe, advance), weigh("verifier", rows.verified, rows.targets))
    heard = [opinion.probabilities for opinion in opinions if not opinion.unheard]
    if not heard:
        nothing = np.full(rows.verified.shape, 1 / len(rows.labels))
        return Judgement(opinions, nothing, np.ones(len(rows.targets)), 0)
    pooled = pool(heard)
    scores = get_label_quality_scores(rows.targets, pooled, method="self_confidence")
    return Judgement(opinions, pooled, np.asarray(scores, np.float64), int(num_label_issues(rows.targets, pooled)))


def pool(opinions: Sequence[Floats]) -> Floats:
    """Pool probabilities, each float64 (n, labels): their geometric mean, rows scaled to sum to one."""
    logarithms = np.mean([np.log(np.clip(each, LEAST, 1 - LEAST)) for each in opinions], axis=0)
    pooled = np.exp(logarithms)
    return np.asarray(pooled / pooled.sum(axis=1, keepdims=True), np.float64)


def weigh(name: str, probabilities: Floats, targets: Ints) -> Opinion:
    """Hear an opinion, float64 (n, labels), only if it surely agrees with more labels than the commonest one would."""
    right = int((probabilities.argmax(axis=1) == targets).sum())
    commonest = float(np.bincount(targets).max()) / len(targets)
    agreement = right / len(targets)
    sure = wilson_interval(right, len(targets))[0] > commonest
    return Opinion(name, probabilities, agreement, "" if sure else f"it agrees with only {agreement:.0%} of the labels")


def _ask_probes(rows: Labelled, recipe: Recipe, advance: Callable[[], None]) -> Opinion:
    lacking = _lacking(rows, recipe)
    if lacking:
        return Opinion("out_of_fold", np.full(rows.verified.shape, 1 / len(rows.labels)), 0.0, lacking)
    return weigh("out_of_fold", out_of_fold_probabilities(rows, recipe, advance), rows.targets)


def _lacking(rows: Labelled, recipe: Recipe) -> str:
    """Say which label has too few groups for so many folds; empty where none has."""
    groups = np.asarray(rows.groups)
    for index, label in enumerate(rows.labels):
        mine = rows.targets == index
        scenes = len(set(groups[mine]))
        if scenes < recipe.folds:
            return (
                f"only {int(mine.sum())} images of {label} in {scenes} groups passed the filters; expected at least "
                f"{recipe.folds} groups, one a fold: generate more (prompts.count), or lower curate.folds"
            )
    return ""


def out_of_fold_probabilities(rows: Labelled, recipe: Recipe, advance: Callable[[], None]) -> Floats:
    """Predict each image by probes of the other folds, averaged over repeats; float64 (n, labels)."""
    probabilities = np.zeros((len(rows.targets), len(rows.labels)))
    for seed, seen, held_out in _folds(rows, recipe):
        probabilities[held_out] += _probe(rows, seen, held_out, seed) / recipe.repeats
        advance()
    return probabilities


def _folds(rows: Labelled, recipe: Recipe) -> Iterator[tuple[int, Ints, Ints]]:
    from sklearn.model_selection import StratifiedGroupKFold

    for seed in range(recipe.seed, recipe.seed + recipe.repeats):
        splitter = StratifiedGroupKFold(recipe.folds, shuffle=True, random_state=seed)
        for seen, held_out in splitter.split(np.zeros(len(rows.targets)), rows.targets, rows.groups):
            yield seed, seen, held_out


def _probe(rows: Labelled, seen: Ints, held_out: Ints, seed: int) -> Floats:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    chosen = np.sort(np.random.default_rng(seed).permutation(seen)[:LEARNED_FROM])
    learner = make_pipeline(StandardScaler(copy=False), LogisticRegression(C=STRENGTH / len(chosen), max_iter=1000))
    learner.fit(rows.features(chosen), rows.targets[chosen])
    parts = [held_out[first : first + READ_AT_ONCE] for first in range(0, len(held_out), READ_AT_ONCE)]
    return np.concatenate([learner.predict_proba(rows.features(part)) for part in parts])

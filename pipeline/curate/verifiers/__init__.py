"""Verifiers predict labels without training on the labels of the set; one file each, whose name is the verifier's name.

A verifier module defines:

    Params            a frozen pydantic model: its section of params.yaml under ``curate``
    create(...)       (Params, Policy) -> Verifier: loads the model
    vocabulary(...)   Params -> Vocabulary: the factors and values that it predicts; optional: without it, any
    identify(...)     (Params, Policy) -> str: identifies everything the output depends on apart from the image, equally
                      on every machine

A verifier recognises the label by the policy's label factor: a factor that every label has, with no value under two
labels (``headwear`` in the helmet policy). The probability of a label is the sum over its values. If the policy has no
label factor, or one the verifier was not trained on, all labels get the same probability; features are still valid.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from pipeline.config.policy import Factor, Policy
from pipeline.data.preprocess import Pixels
from pipeline.machine import plugins


@dataclass(frozen=True, slots=True)
class VerifierOutput:
    """Output of a verifier for n images.

    Attributes:
        probabilities: float64 (n, labels), rows sum to one.
        features: float32 (n, width), an embedding: similar images lie near each other.
    """

    probabilities: NDArray[np.float64]
    features: NDArray[np.float32]


Verifier = Callable[[Sequence[Pixels]], VerifierOutput]
"""Takes n images, uint8 (height, width, 3) RGB of any size; each row of the output depends only on its own image."""


@dataclass(frozen=True, slots=True)
class LabelFactor:
    """The factor that distinguishes the labels of a policy.

    Attributes:
        name: Name of the factor.
        factors: Label -> the factor with the values it has under that label; no value occurs under two labels.
    """

    name: str
    factors: Mapping[str, Factor]

    def pool(self, values: Sequence[str], probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
        """Sum the probabilities of each label's values.

        Args:
            values: Names of the n values that the verifier predicts; policy values missing here count as 0.
            probabilities: float (rows, n).

        Returns:
            float64 (rows, labels), rows sum to one; uniform where no value of the policy has any probability.
        """
        pooled = np.stack(
            [
                probabilities[:, [values.index(value) for value in factor.values if value in values]].sum(
                    axis=1, dtype=np.float64
                )
                for factor in self.factors.values()
            ],
            axis=1,
        )
        total = pooled.sum(axis=1, keepdims=True)
        return np.asarray(np.divide(pooled, total, out=np.full_like(pooled, 1 / len(self.factors)), where=total > 0))


def find_label_factor(policy: Policy, known: Mapping[str, Container[str]] | None = None) -> LabelFactor | None:
    """Find the factor that distinguishes the labels; the first one if there are several.

    Args:
        policy: Policy to search.
        known: Factor -> values that the verifier predicts; None: it predicts every value.

    Returns:
        The label factor; None if the policy has none, or if the verifier predicts no value of some label.
    """
    name = policy.label_factor(known)
    if name is None:
        return None
    return LabelFactor(name, {label: _named(own, name) for label, own in policy.labels.items()})


def _named(factors: Sequence[Factor], name: str) -> Factor:
    return next(factor for factor in factors if factor.name == name)


def uniform_probabilities(images: int, policy: Policy) -> NDArray[np.float64]:
    """Return equal probabilities of all labels: float64 (images, labels)."""
    return np.full((images, len(policy.labels)), 1 / len(policy.labels))


def find_verifier(name: str) -> ModuleType:
    """Import a verifier's module.

    Raises:
        ParamsError: There is no verifier of that name.
    """
    return plugins.find(__name__, name, "params.yaml curate.verifier")

"""Verifiers say which label a picture shows, without having seen any label. One file each; the file name is the name.

A verifier module has:

    Params            a frozen pydantic model: its section of params.yaml under ``curate``
    create(...)       opens it: (Params, Policy) -> Verify
    identify(...)     what its answers depend on beside the picture: (Params, Policy) -> str, the same on every machine

Labels are told by the one factor of their own that no two labels share a value of: ``headwear`` of the helmet policy. A
label's probability is that of its values together. Of a policy without such a factor, or with one that the verifier
does not know, it has no opinion: every label is as likely. Its features serve all the same.
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
class Seen:
    """What a verifier sees in n pictures.

    Attributes:
        probabilities: float64 (n, labels), rows sum to one.
        features: float32 (n, width); pictures that look alike lie near each other.
    """

    probabilities: NDArray[np.float64]
    features: NDArray[np.float32]


Verify = Callable[[Sequence[Pixels]], Seen]
"""Takes pictures, uint8 (height, width, 3) RGB of any size; what it sees in one does not hang on the others."""


@dataclass(frozen=True, slots=True)
class Telling:
    """What tells the labels of a policy apart.

    Attributes:
        name: Of the factor.
        factors: Label -> that factor with the values it has there; no value stands under two labels.
    """

    name: str
    factors: Mapping[str, Factor]

    def pool(self, values: Sequence[str], probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
        """Add up the probabilities (n, values) of each label's values, and scale rows to one: (n, labels).

        Values that the verifier does not know go without: it takes them for what comes nearest.
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


def find_telling(policy: Policy, known: Mapping[str, Container[str]] | None = None) -> Telling | None:
    """Find the factor that tells the labels apart; of several the first in the policy.

    Args:
        policy: The policy.
        known: Factor -> the values that the verifier knows; None: it knows all.

    Returns:
        The factor; None where there is none, or none of which the verifier knows a value of every label.
    """
    owned = {label: {factor.name: factor for factor in own} for label, own in policy.labels.items()}
    names = [name for name in next(iter(owned.values())) if all(name in own for own in owned.values())]
    telling = [name for name in names if _are_apart([set(own[name].values) for own in owned.values()])]
    for name in telling:
        values = () if known is None else known.get(name, ())
        if known is None or all(any(value in values for value in own[name].values) for own in owned.values()):
            return Telling(name, {label: own[name] for label, own in owned.items()})
    return None


def no_opinion(pictures: int, policy: Policy) -> NDArray[np.float64]:
    """Every label is as likely: float64 (pictures, labels)."""
    return np.full((pictures, len(policy.labels)), 1 / len(policy.labels))


def find_verifier(name: str) -> ModuleType:
    """Import a verifier's module.

    Raises:
        ParamsError: There is no such verifier.
    """
    return plugins.find(__name__, name, "params.yaml curate.verifier")


def _are_apart(sets: Sequence[set[str]]) -> bool:
    return len(set().union(*sets)) == sum(map(len, sets))

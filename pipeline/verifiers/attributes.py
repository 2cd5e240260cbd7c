"""The attribute network that comes with Gossamer as a verifier: it knows drawn portraits, and their headwear and masks.

It learned from rendered portraits whose every factor is certain, never from a generated picture or its caption. It
looks at a picture and at its mirror image.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.diffusion.source import WEIGHTS
from pipeline.errors import ModelError
from pipeline.policy import Policy
from pipeline.preprocess import Pixels, PreprocessSpec, fit
from pipeline.sections import Section
from pipeline.verifiers import Seen, Verify, find_telling, no_opinion

EMBEDDED = "embedded"
SIZE = PreprocessSpec(input_size=(128, 96), fit="crop")
"""The pictures it learned from."""


class Params(Section):
    """``weights``: "embedded", or a file that ``make embedded`` wrote."""

    weights: str


def create(params: Params, policy: Policy) -> Verify:
    """Open the network.

    Raises:
        ModelError: Its weights are missing or damaged.
    """
    import torch

    from pipeline.embedded.attributes import load_attributes, to_input

    path = _find(params)
    try:
        network = load_attributes(path).float()
    except Exception as error:  # safetensors raises its own kinds
        raise ModelError(f"params.yaml curate.attributes.weights: {path}: no attribute network: {error}") from error
    telling = find_telling(policy, network.factors)

    def verify(pictures: Sequence[Pixels]) -> Seen:
        batch = to_input(np.stack([fit(picture, SIZE) for picture in pictures]))
        with torch.inference_mode():
            maps, mirrored = (network.features(view)[-1] for view in (batch, batch.flip(3)))
            features = (network.pool(maps) + network.pool(mirrored.flip(3))) / 2
            if telling is None:
                return Seen(no_opinion(len(pictures), policy), features.numpy())
            told = [network.read(view)[telling.name].log_softmax(1) for view in (maps, mirrored)]
            probabilities = (told[0] + told[1]).div(2).softmax(1).numpy()
        return Seen(telling.pool(network.factors[telling.name], probabilities), features.numpy())

    return verify


def identify(params: Params, policy: Policy) -> str:
    """The weights' hash, and what is asked of them."""
    telling = find_telling(policy)
    asked = telling and (telling.name, {label: factor.values for label, factor in telling.factors.items()})
    return f"attributes {hashlib.sha256(_find(params).read_bytes()).hexdigest()} {list(policy.labels)} {asked}"


def _find(params: Params) -> Path:
    path = WEIGHTS / "attributes.safetensors" if params.weights == EMBEDDED else Path(params.weights)
    if not path.is_file():
        raise ModelError(
            f"params.yaml curate.attributes.weights: {path} is missing; expected embedded, or a file that make "
            "embedded wrote"
        )
    return path

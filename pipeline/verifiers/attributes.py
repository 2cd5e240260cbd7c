"""The attribute network that comes with Gossamer as a verifier: it knows drawn portraits, and their headwear and masks.

It learned from rendered portraits whose every factor is certain, never from a generated picture or its caption.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.diffusion.source import WEIGHTS
from pipeline.errors import ModelError
from pipeline.params import Section
from pipeline.policy import Policy
from pipeline.preprocess import Pixels, PreprocessSpec, fit
from pipeline.verifiers import Seen, Verify, find_telling

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
        ParamsError: It does not know what tells the policy's labels apart.
    """
    import torch

    from pipeline.embedded.attributes import load_attributes, to_input

    path = _find(params)
    try:
        network = load_attributes(path).float()
    except Exception as error:  # safetensors raises its own kinds
        raise ModelError(f"params.yaml curate.attributes.weights: {path}: no attribute network: {error}") from error
    telling = find_telling(policy, network.factors)
    values = network.factors[telling.name]

    def verify(pictures: Sequence[Pixels]) -> Seen:
        batch = np.stack([fit(picture, SIZE) for picture in pictures])
        with torch.inference_mode():
            maps = network.features(to_input(batch))[-1]
            told = network.read(maps)[telling.name].softmax(1).numpy()
            return Seen(telling.pool(values, told), maps.mean((2, 3)).numpy())

    return verify


def identify(params: Params, policy: Policy) -> str:
    """The weights' hash, and what is asked of them."""
    telling = find_telling(policy)
    asked = {label: factor.values for label, factor in telling.factors.items()}
    return f"attributes {hashlib.sha256(_find(params).read_bytes()).hexdigest()} {telling.name} {asked}"


def _find(params: Params) -> Path:
    path = WEIGHTS / "attributes.safetensors" if params.weights == EMBEDDED else Path(params.weights)
    if not path.is_file():
        raise ModelError(
            f"params.yaml curate.attributes.weights: {path} is missing; expected embedded, or a file that make "
            "embedded wrote"
        )
    return path

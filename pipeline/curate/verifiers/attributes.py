"""The attribute network that comes with Gossamer as a verifier: it knows drawn portraits, and their headwear and masks.

It learned from rendered portraits whose every factor is certain, never from a generated picture or its caption. It
looks at a picture and at its mirror image.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np

from pipeline.config.fields import Section, accept_renamed
from pipeline.config.policy import Policy
from pipeline.curate.verifiers import Seen, Verify, find_telling, no_opinion
from pipeline.data.preprocess import Pixels, PreprocessSpec, fit
from pipeline.errors import ModelError
from pipeline.generate.diffusion.model_source import WEIGHTS
from pipeline.generate.diffusion.presets import BUNDLED, FORMER_NAME

SIZE = PreprocessSpec(input_size=(128, 96), fit="crop")
"""The pictures it learned from."""
BATCH = 50
"""Always looked at so many at once, blank ones among them: some processors round by the size of a batch."""


class Params(Section):
    """``weights``: "bundled", or a file that ``make bundled`` wrote."""

    weights: Annotated[str, accept_renamed(FORMER_NAME, BUNDLED)]


def create(params: Params, policy: Policy) -> Verify:
    """Open the network.

    Raises:
        ModelError: Its weights are missing or damaged.
    """
    import torch

    from pipeline.bundled_diffusion.networks.attribute_net import load_attributes, to_input

    path = _find(params)
    try:
        network = load_attributes(path).float()
    except Exception as error:  # safetensors raises its own kinds
        raise ModelError(f"params.yaml curate.attributes.weights: {path}: no attribute network: {error}") from error
    telling = find_telling(policy, network.factors)

    def look(pictures: Sequence[Pixels]) -> Seen:
        pixels, count = np.zeros((BATCH, *SIZE.input_size, 3), np.uint8), len(pictures)
        pixels[:count] = [fit(picture, SIZE) for picture in pictures]
        batch = to_input(pixels)
        with torch.inference_mode():
            maps, mirrored = (network.features(view)[-1] for view in (batch, batch.flip(3)))
            features = ((network.pool(maps) + network.pool(mirrored.flip(3))) / 2)[:count].numpy()
            if telling is None:
                return Seen(no_opinion(count, policy), features)
            told = [network.read(view)[telling.name].log_softmax(1) for view in (maps, mirrored)]
            probabilities = (told[0] + told[1]).div(2).softmax(1)[:count].numpy()
        return Seen(telling.pool(network.factors[telling.name], probabilities), features)

    def verify(pictures: Sequence[Pixels]) -> Seen:
        seen = [look(pictures[first : first + BATCH]) for first in range(0, len(pictures), BATCH)]
        return Seen(
            np.concatenate([each.probabilities for each in seen]), np.concatenate([each.features for each in seen])
        )

    return verify


def identify(params: Params, policy: Policy) -> str:
    """The weights' hash, and what is asked of them."""
    telling = find_telling(policy)
    asked = telling and (telling.name, {label: factor.values for label, factor in telling.factors.items()})
    return f"attributes {hashlib.sha256(_find(params).read_bytes()).hexdigest()} {list(policy.labels)} {asked}"


def _find(params: Params) -> Path:
    path = WEIGHTS / "attributes.safetensors" if params.weights == BUNDLED else Path(params.weights)
    if not path.is_file():
        raise ModelError(
            f"params.yaml curate.attributes.weights: {path} is missing; expected bundled, or a file that make "
            "bundled wrote"
        )
    return path

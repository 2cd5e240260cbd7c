"""Verifier for generated and rendered portraits: the bundled attribute network, which predicts headwear and masks.

The network was trained on rendered portraits, whose factors are certain, never on a generated image or its caption.
Its output is averaged over the image and its mirror image. Reads the weights file; writes nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np

from pipeline.config.fields import Section, accept_renamed
from pipeline.config.policy import Policy
from pipeline.config.vocabulary import Vocabulary
from pipeline.curate.verifiers import Verifier, VerifierOutput, find_label_factor, uniform_probabilities
from pipeline.data.preprocess import Pixels, PreprocessSpec, fit
from pipeline.errors import ModelError, cut
from pipeline.generate.diffusion.model_source import LOADING_ERRORS, WEIGHTS
from pipeline.generate.diffusion.presets import BUNDLED, FORMER_NAME

INPUT = PreprocessSpec(input_size=(128, 96), fit="crop")
"""Size of its training images: (height, width)."""
BATCH = 50
"""Fixed batch size, padded with blank images: on some processors rounding depends on the batch size."""


class Params(Section):
    """Which weights to use.

    Attributes:
        weights: "bundled", or a file that ``make bundled`` wrote.
    """

    weights: Annotated[str, accept_renamed(FORMER_NAME, BUNDLED)]


def create(params: Params, policy: Policy) -> Verifier:
    """Load the network.

    Raises:
        ModelError: Its weights are missing or damaged.
    """
    import torch

    from pipeline.bundled_diffusion.networks.attribute_net import load_attribute_net, to_input

    path = _find(params)
    try:
        network = load_attribute_net(path).float()
    except LOADING_ERRORS as error:
        raise _no_network(path, error) from error
    label_factor = find_label_factor(policy, network.factors)

    def verify_batch(images: Sequence[Pixels]) -> VerifierOutput:
        pixels, count = np.zeros((BATCH, *INPUT.input_size, 3), np.uint8), len(images)
        pixels[:count] = [fit(image, INPUT) for image in images]
        batch = to_input(pixels)
        with torch.inference_mode():
            maps, mirrored = (network.features(view)[-1] for view in (batch, batch.flip(3)))
            features = ((network.pool(maps) + network.pool(mirrored.flip(3))) / 2)[:count].numpy()
            if label_factor is None:
                return VerifierOutput(uniform_probabilities(count, policy), features)
            logs = [network.logits(view)[label_factor.name].log_softmax(1) for view in (maps, mirrored)]
            probabilities = (logs[0] + logs[1]).div(2).softmax(1)[:count].numpy()
        return VerifierOutput(label_factor.pool(network.factors[label_factor.name], probabilities), features)

    def verify(images: Sequence[Pixels]) -> VerifierOutput:
        outputs = [verify_batch(images[first : first + BATCH]) for first in range(0, len(images), BATCH)]
        return VerifierOutput(
            np.concatenate([output.probabilities for output in outputs]),
            np.concatenate([output.features for output in outputs]),
        )

    return verify


def vocabulary(params: Params) -> Vocabulary:
    """State the factors and values that the network predicts, from the header of its weights.

    Raises:
        ModelError: Its weights are missing or damaged.
    """
    from safetensors import safe_open

    path = _find(params)
    try:
        with safe_open(path, "np") as file:
            return Vocabulary(
                factors={name: tuple(own) for name, own in json.loads(file.metadata()["factors"]).items()}
            )
    except LOADING_ERRORS as error:
        raise _no_network(path, error) from error


def identify(params: Params, policy: Policy) -> str:
    """Identify the output by the hash of the weights and the values of each label."""
    label_factor = find_label_factor(policy)
    values = label_factor and (label_factor.name, {name: own.values for name, own in label_factor.factors.items()})
    return f"attributes {hashlib.sha256(_find(params).read_bytes()).hexdigest()} {list(policy.labels)} {values}"


def _no_network(path: Path, error: Exception) -> ModelError:
    return ModelError(
        f"params.yaml curate.attributes.weights: {path}: no attribute network: {cut(str(error))}; expected bundled, or "
        "a .safetensors file that make bundled wrote"
    )


def _find(params: Params) -> Path:
    path = WEIGHTS / "attributes.safetensors" if params.weights == BUNDLED else Path(params.weights)
    if not path.is_file():
        raise ModelError(
            f"params.yaml curate.attributes.weights: {path} is missing; expected bundled, or a file that make "
            "bundled wrote"
        )
    return path

"""Zero-shot CLIP as a verifier: for photographs and pictures like them.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (ICML 2021): a class is the mean
of the embeddings of many sentences about it. The sentences come from the policy: the words of each value of the factor
that tells the labels apart, in several frames. A label's probability is that of its values together.
"""

from __future__ import annotations

import itertools
import string
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipeline.config.fields import Positive, Section
from pipeline.config.policy import Factor, Policy
from pipeline.curate.verifiers import Seen, Telling, Verify, find_telling, no_opinion
from pipeline.data.hashing import hash_folder
from pipeline.data.preprocess import Pixels
from pipeline.errors import ModelError
from pipeline.machine.devices import choose_device

FRAMES = (
    "a photo of a person {}",
    "a selfie of a person {}",
    "a portrait of a person {}",
    "a close-up photo of a person {}",
    "a blurry photo of a person {}",
    "a dark photo of a person {}",
    "a person {} looking at the camera",
)
PLACE = "params.yaml curate.clip.model"


class Params(Section):
    """Which CLIP, and on what.

    Attributes:
        model: A local folder in the transformers layout, or a hub id, e.g. openai/clip-vit-base-patch32.
        revision: Of a hub id: a branch, tag or commit; null is its main branch.
        batch_size: Pictures at once.
        device: "auto" is the best there is.
    """

    model: str
    revision: str | None
    batch_size: Positive
    device: Literal["auto", "cpu", "cuda", "mps"]


def create(params: Params, policy: Policy) -> Verify:
    """Open the model and embed the policy's sentences.

    Raises:
        ModelError: It is no whole CLIP folder here, and the hub does not give it.
    """
    import torch
    from torch.nn.functional import normalize

    telling = find_telling(policy)
    device = choose_device(params.device, "curate.clip")
    model, processor = _open(params, device)
    as_tensors = {"return_tensors": "pt", "padding": True}
    directions = torch.zeros(1, 1)
    if telling is not None:
        with torch.inference_mode():
            classes = [
                normalize(_tensor(model.get_text_features(**processor(text=asked, **as_tensors).to(device))), dim=-1)
                for asked in _questions(policy, telling)
            ]
            directions = model.logit_scale.exp() * torch.stack([normalize(each.mean(0), dim=-1) for each in classes])

    def verify(pictures: Sequence[Pixels]) -> Seen:
        parts = []
        for first in range(0, len(pictures), params.batch_size):
            part = [np.array(picture) for picture in pictures[first : first + params.batch_size]]  # torch wants its own
            seen = processor(images=part, return_tensors="pt")
            with torch.inference_mode():
                parts.append(normalize(_tensor(model.get_image_features(**seen.to(device))), dim=-1))
        images = torch.cat(parts)
        features = images.float().cpu().numpy()
        if telling is None:
            return Seen(no_opinion(len(pictures), policy), features)
        values = [value for factor in telling.factors.values() for value in factor.values]
        told = (images @ directions.T).softmax(1).double().cpu().numpy()
        return Seen(telling.pool(values, told), features)

    return verify


def identify(params: Params, policy: Policy) -> str:
    """The model's state, and the sentences."""
    folder = Path(params.model)
    state = hash_folder(folder) if folder.is_dir() else f"{params.model} {params.revision}"
    telling = find_telling(policy)
    return f"clip {state} {list(policy.labels)} {telling and _questions(policy, telling)}"


def _questions(policy: Policy, telling: Telling) -> list[list[str]]:
    """Sentences of every value, label by label."""
    return [
        list(sentences(policy, label, phrase)) for label, factor in telling.factors.items() for phrase in factor.phrases
    ]


def sentences(policy: Policy, label: str, phrase: str) -> Iterator[str]:
    """Put a phrase of the policy into every frame, with every word that its braces may stand for."""
    factors = {factor.name: factor for factor in policy.factors_of(label)}
    for told in _fill(phrase, factors):
        for frame in FRAMES:
            yield frame.format(told).strip()


def _fill(phrase: str, factors: dict[str, Factor]) -> Iterator[str]:
    names = [name for _, name, _, _ in string.Formatter().parse(phrase) if name]
    for words in itertools.product(*(factors[name].phrases for name in names)):
        yield phrase.format_map(dict(zip(names, words, strict=True)))


def _open(params: Params, device: str) -> tuple[Any, Any]:
    from transformers import CLIPModel, CLIPProcessor

    try:
        model = CLIPModel.from_pretrained(params.model, revision=params.revision).to(device).eval()
        processor = CLIPProcessor.from_pretrained(params.model, revision=params.revision)
    except (OSError, ValueError, RuntimeError) as error:
        why = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{PLACE}: {params.model}: no CLIP: {why}; expected a folder that CLIPModel and CLIPProcessor saved, or a "
            "hub id and a network"
        ) from error
    return model, processor


def _tensor(features: Any) -> Any:  # noqa: ANN401 - transformers gives a tensor or, later, an output that holds one
    return getattr(features, "pooler_output", features)

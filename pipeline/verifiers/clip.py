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

from pipeline.diffusion.source import hash_folder
from pipeline.errors import ModelError
from pipeline.params import Positive, Section
from pipeline.policy import Factor, Policy
from pipeline.preprocess import Pixels
from pipeline.verifiers import Seen, Verify, find_telling

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
        device: "auto" is CUDA where there is one.
    """

    model: str
    revision: str | None
    batch_size: Positive
    device: Literal["auto", "cpu", "cuda", "mps"]


def create(params: Params, policy: Policy) -> Verify:
    """Open the model and embed the policy's sentences.

    Raises:
        ModelError: It is no whole CLIP folder here, and the hub does not give it.
        ParamsError: No factor tells the policy's labels apart.
    """
    import torch
    from torch.nn.functional import normalize

    telling = find_telling(policy)
    device = params.device if params.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    model, processor = _open(params, device)
    values, classes = [], []
    with torch.inference_mode():
        for label, factor in telling.factors.items():
            for value, phrase in zip(factor.values, factor.phrases, strict=True):
                asked = processor(text=list(sentences(policy, label, phrase)), return_tensors="pt", padding=True)
                embedded = normalize(_tensor(model.get_text_features(**asked.to(device))), dim=-1)
                values.append(value)
                classes.append(normalize(embedded.mean(0), dim=-1))
        directions, scale = torch.stack(classes), model.logit_scale.exp()

    def verify(pictures: Sequence[Pixels]) -> Seen:
        parts, features = [], []
        for first in range(0, len(pictures), params.batch_size):
            seen = processor(images=list(pictures[first : first + params.batch_size]), return_tensors="pt")
            with torch.inference_mode():
                images = normalize(_tensor(model.get_image_features(**seen.to(device))), dim=-1)
                parts.append((scale * images @ directions.T).softmax(1).double().cpu().numpy())
                features.append(images.float().cpu().numpy())
        return Seen(telling.pool(values, np.concatenate(parts)), np.concatenate(features))

    return verify


def identify(params: Params, policy: Policy) -> str:
    """The model's state, and the sentences."""
    folder = Path(params.model)
    state = hash_folder(folder) if folder.is_dir() else f"{params.model} {params.revision}"
    asked = [
        list(sentences(policy, label, phrase))
        for label, factor in find_telling(policy).factors.items()
        for phrase in factor.phrases
    ]
    return f"clip {state} {asked}"


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

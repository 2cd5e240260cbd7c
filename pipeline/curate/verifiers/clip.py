"""Verifier for photographs: zero-shot CLIP with prompt ensembling.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (ICML 2021): the weight vector
of a class is the mean text embedding of many sentences about it. Here a class is a value of the policy's label factor,
and its sentences are the value's phrases in the templates below. Reads a local model folder or the hub; writes nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipeline.config.fields import Positive, Section
from pipeline.config.policy import Factor, Policy, fields_of
from pipeline.curate.verifiers import LabelFactor, Verifier, VerifierOutput, find_label_factor, uniform_probabilities
from pipeline.data.hashing import hash_folder
from pipeline.data.preprocess import Pixels
from pipeline.errors import ModelError, PolicyError, cut, shown
from pipeline.generate.diffusion.model_source import LOADING_ERRORS, check_vocabulary, refuse_pickles
from pipeline.machine.devices import choose_device

TEMPLATES = (
    "a photo of a person {}",
    "a selfie of a person {}",
    "a portrait of a person {}",
    "a close-up photo of a person {}",
    "a blurry photo of a person {}",
    "a dark photo of a person {}",
    "a person {} looking at the camera",
)
MAX_SENTENCES = 10_000
"""Most sentences of one value: its words may name factors, and every combination of their values is a sentence."""
_KEY = "params.yaml curate.clip.model"


class Params(Section):
    """Which CLIP model, and how it runs.

    Attributes:
        model: A local folder in the transformers layout, or a hub id, e.g. openai/clip-vit-base-patch32.
        revision: Branch, tag or commit of a hub id; null: its main branch.
        batch_size: Images per forward pass.
        device: "auto" is the best available one.
    """

    model: str
    revision: str | None
    batch_size: Positive
    device: Literal["auto", "cpu", "cuda", "mps"]


def create(params: Params, policy: Policy) -> Verifier:
    """Load the model and embed the policy's sentences.

    Raises:
        ModelError: The folder holds no complete CLIP model, or the hub cannot be reached.
    """
    import torch
    from torch.nn.functional import normalize

    label_factor = find_label_factor(policy)
    device = choose_device(params.device, "curate.clip")
    model, processor = _open(params, device)
    as_tensors = {"return_tensors": "pt", "padding": True}
    weights = torch.zeros(1, 1)
    if label_factor is not None:
        with torch.inference_mode():
            classes = [
                normalize(_tensor(model.get_text_features(**processor(text=texts, **as_tensors).to(device))), dim=-1)
                for texts in _class_sentences(policy, label_factor)
            ]
            weights = model.logit_scale.exp() * torch.stack([normalize(each.mean(0), dim=-1) for each in classes])

    def verify(images: Sequence[Pixels]) -> VerifierOutput:
        parts = []
        for first in range(0, len(images), params.batch_size):
            part = [np.array(image) for image in images[first : first + params.batch_size]]  # torch needs a copy
            inputs = processor(images=part, return_tensors="pt")
            with torch.inference_mode():
                parts.append(normalize(_tensor(model.get_image_features(**inputs.to(device))), dim=-1))
        embeddings = torch.cat(parts)
        features = embeddings.float().cpu().numpy()
        if label_factor is None:
            return VerifierOutput(uniform_probabilities(len(images), policy), features)
        values = [value for factor in label_factor.factors.values() for value in factor.values]
        probabilities = (embeddings @ weights.T).softmax(1).double().cpu().numpy()
        return VerifierOutput(label_factor.pool(values, probabilities), features)

    return verify


def identify(params: Params, policy: Policy) -> str:
    """Identify the output by the state of the model and the sentences of each class."""
    folder = Path(params.model)
    state = hash_folder(folder) if folder.is_dir() else f"{params.model} {params.revision}"
    label_factor = find_label_factor(policy)
    return f"clip {state} {list(policy.labels)} {label_factor and _class_sentences(policy, label_factor)}"


def _class_sentences(policy: Policy, label_factor: LabelFactor) -> list[list[str]]:
    """List the sentences of each value of the label factor, label by label."""
    return [
        list(sentences(policy, label, phrase))
        for label, factor in label_factor.factors.items()
        for phrase in factor.phrases
    ]


def sentences(policy: Policy, label: str, phrase: str) -> Iterator[str]:
    """Yield a phrase of the policy in every template, with every value of the factors that it names in braces."""
    factors = {factor.name: factor for factor in policy.factors_of(label)}
    for filled in _fill(phrase, factors):
        for template in TEMPLATES:
            yield template.format(filled).strip()


def _fill(phrase: str, factors: dict[str, Factor]) -> Iterator[str]:
    names = list(dict.fromkeys(fields_of(phrase)))
    choices = [factors[name].phrases if name in factors else ("",) for name in names]  # else: another label's factor
    if prod(map(len, choices)) > MAX_SENTENCES:
        raise PolicyError(
            f"words {shown(phrase)}: {prod(map(len, choices)):,} sentences; expected at most {MAX_SENTENCES:,}; name "
            "fewer factors in them"
        )
    for words in itertools.product(*choices):
        yield phrase.format_map(dict(zip(names, words, strict=True)))


def _open(params: Params, device: str) -> tuple[Any, Any]:
    from transformers import CLIPModel, CLIPProcessor

    refuse_pickles(Path(params.model), f"{_KEY}: {params.model}")
    revision = params.revision or "main"
    try:
        model = CLIPModel.from_pretrained(params.model, revision=revision, use_safetensors=True).to(device).eval()
        processor = CLIPProcessor.from_pretrained(params.model, revision=revision)
    except LOADING_ERRORS as error:
        reason = cut(str(error))
        raise ModelError(
            f"{_KEY}: {params.model}: no CLIP: {reason}; expected a folder that CLIPModel and CLIPProcessor saved, or "
            "a hub id and a network"
        ) from error
    check_vocabulary(len(processor.tokenizer), model.config.text_config.vocab_size, f"{_KEY}: {params.model}")
    return model, processor


def _tensor(features: Any) -> Any:  # noqa: ANN401 - a tensor, or in later versions of transformers an output object with one
    return getattr(features, "pooler_output", features)

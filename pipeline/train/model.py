"""The classifier: a backbone with normalisation and probabilities in its graph, and its checkpoint on disk.

    FOLDER/model.safetensors  float32 state dict
    FOLDER/config.json        ``CheckpointConfig``: backbone, labels, preprocessing, threshold, ids

The checkpoint's id is the SHA-256 of the weights file: equal weights are the same checkpoint.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import nn

from pipeline.data.preprocess import PreprocessSpec
from pipeline.data.records import Record
from pipeline.data.storage import atomic_write, read_json, write_json
from pipeline.errors import ModelError, cut
from pipeline.machine.memory_layout import choose_memory_format
from pipeline.metrics.decision_threshold import DecisionRule
from pipeline.train.backbone import Architecture, Method, Padding, build_network
from pipeline.train.feature_classifier import build_feature_classifier
from pipeline.train.package_weights import WeightsSource

WEIGHTS = "model.safetensors"
CONFIG = "config.json"


class CheckpointConfig(Record):
    """Contents of config.json.

    Attributes:
        backbone: Name of the timm model.
        padding: "symmetric", or "same" (TensorFlow's).
        labels: In the order of the outputs; the last is the positive one.
        preprocess: How an image becomes the input tensor.
        threshold: Decide for the positive label where its probability is at least this; unused with more labels.
        checkpoint_id: SHA-256 of the weights file.
        dataset_id: SHA-256 over the training and validation rows.
        temperature: Log-odds divided by it are calibrated (``pipeline.metrics.decision_threshold``).
        method: How it was trained, which determines the network (``Architecture``).
        expert: Whether a network of method "head" has an expert.
        decision: How the threshold was chosen.
        weights_source: Origin of the pretrained weights; None: trained from nothing, or of the user's own.
    """

    backbone: str
    padding: Padding
    labels: tuple[str, ...]
    preprocess: PreprocessSpec
    threshold: float
    checkpoint_id: str
    dataset_id: str
    temperature: float = 1.0
    method: Method = "full"
    expert: bool = False
    decision: DecisionRule = "costs"
    weights_source: WeightsSource | None = None

    @property
    def architecture(self) -> Architecture:
        """What the network is built from."""
        return Architecture(
            self.method, self.backbone, len(self.labels), self.padding, self.preprocess.input_size, self.expert
        )


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A loaded checkpoint: the network in eval mode on the CPU, and its config."""

    network: nn.Module
    config: CheckpointConfig


class PortableClassifier(nn.Module):
    """The network with normalisation before it and softmax after it: the graph that is exported.

    Takes pixels (n, height, width, 3) RGB in 0..255, uint8 or float32; returns probabilities float32 (n, labels).
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, network: nn.Module, spec: PreprocessSpec) -> None:
        super().__init__()
        self.network = network
        self._contiguous = choose_memory_format(network) == torch.contiguous_format
        self.register_buffer("mean", torch.tensor(spec.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(spec.std).view(1, 3, 1, 1))

    def normalise(self, image: torch.Tensor) -> torch.Tensor:
        """Convert pixels (n, height, width, 3) RGB in 0..255 to the network's input, float32 (n, 3, height, width)."""
        scaled = image.permute(0, 3, 1, 2).to(torch.float32) / 255.0
        normalised = (scaled - self.mean) / self.std
        # The permuted pixels are channels last in memory.
        return normalised.contiguous() if self._contiguous else normalised

    def logits(self, image: torch.Tensor) -> torch.Tensor:
        """Compute logits, float32 (n, labels), of pixels (n, height, width, 3) RGB in 0..255; used in training."""
        scores: torch.Tensor = self.network(self.normalise(image))
        return scores

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Compute probabilities, float32 (n, labels); rows sum to one."""
        return torch.softmax(self.logits(image), dim=1)


def build_classifier(architecture: Architecture, pretrained: str = "none") -> nn.Module:
    """Create the network of a training method; see ``build_network`` and ``build_feature_classifier``."""
    if architecture.method == "head":
        return build_feature_classifier(architecture, pretrained)
    own = (architecture.padding, architecture.input_size)
    return build_network(architecture.backbone, architecture.labels, pretrained, *own)


def save_checkpoint(folder: Path, network: nn.Module, config: CheckpointConfig) -> CheckpointConfig:
    """Write weights and config; returns the config with the checkpoint's id."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    data = safetensors.torch.save(state)
    with atomic_write(folder / WEIGHTS) as file:
        file.write(data)
    config = config.model_copy(update={"checkpoint_id": hashlib.sha256(data).hexdigest()})
    write_json(folder / CONFIG, config)
    return config


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint; its weights are verified against the id in its config.

    Raises:
        ModelError: The folder has no weights, or they are not the ones its config names.
        DataError: Its config is missing or damaged.
    """
    config = read_json(folder / CONFIG, CheckpointConfig)
    path = folder / WEIGHTS
    if not path.is_file():
        raise ModelError(f"{path}: missing; expected the weights of {config.backbone}; run dvc repro train")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != config.checkpoint_id:
        raise ModelError(f"{path}: not the weights that {folder / CONFIG} names; run dvc repro train")
    network = build_classifier(config.architecture)
    try:
        network.load_state_dict(safetensors.torch.load(data))
    except (SafetensorError, RuntimeError) as error:
        reason = cut(str(error))
        raise ModelError(f"{path}: no weights of {config.backbone}: {reason}; run dvc repro train") from error
    return Checkpoint(network.eval(), config)


def predict(checkpoint: Checkpoint, pixels: NDArray[np.uint8], batch_size: int = 64) -> NDArray[np.float32]:
    """Classify images at the input size: uint8 (n, height, width, 3) RGB -> probabilities, float32 (n, labels)."""
    classifier = PortableClassifier(checkpoint.network, checkpoint.config.preprocess).eval()
    with torch.inference_mode():
        rows = [classifier(torch.from_numpy(pixels[i : i + batch_size])) for i in range(0, len(pixels), batch_size)]
    return torch.cat(rows).numpy() if rows else np.empty((0, len(checkpoint.config.labels)), np.float32)

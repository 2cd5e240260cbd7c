"""The classifier: a timm backbone with one output per label, and its checkpoint on disk.

    FOLDER/model.safetensors  float32 state dict
    FOLDER/config.json        ``CheckpointConfig``: backbone, labels, preprocessing, threshold, ids

The checkpoint's id is the SHA-256 of the weights file: equal weights are the same checkpoint.
"""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors.torch
import timm
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import nn

from pipeline.data.preprocess import PreprocessSpec
from pipeline.data.records import Record
from pipeline.data.storage import atomic_write, read_json, write_json
from pipeline.errors import ModelError, ParamsError, cut, shown
from pipeline.machine.memory_layout import choose_memory_format

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
Padding = Literal["symmetric", "same"]


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
    """

    backbone: str
    padding: Padding
    labels: tuple[str, ...]
    preprocess: PreprocessSpec
    threshold: float
    checkpoint_id: str
    dataset_id: str
    temperature: float = 1.0


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

    def logits(self, image: torch.Tensor) -> torch.Tensor:
        """Compute logits, float32 (n, labels), of pixels (n, height, width, 3) RGB in 0..255; used in training."""
        scaled = image.permute(0, 3, 1, 2).to(torch.float32) / 255.0
        normalised = (scaled - self.mean) / self.std
        if self._contiguous:  # the permuted pixels are channels last in memory
            normalised = normalised.contiguous()
        scores: torch.Tensor = self.network(normalised)
        return scores

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Compute probabilities, float32 (n, labels); rows sum to one."""
        return torch.softmax(self.logits(image), dim=1)


def build_network(backbone: str, labels: int, pretrained: str = "none", padding: Padding = "symmetric") -> nn.Module:
    """Create a timm classifier.

    Args:
        backbone: Name of a timm model.
        labels: Number of outputs.
        pretrained: "none", "hub" (timm's own weights), or the path of a safetensors state dict; its classifier is
            replaced if it has another number of outputs.
        padding: "symmetric", or "same" for weights that were trained with TensorFlow's padding.

    Returns:
        Takes normalised float32 (n, 3, height, width), returns logits (n, labels).

    Raises:
        ParamsError: timm has no such backbone.
        ModelError: The weights cannot be loaded, or belong to another network.
    """
    if not timm.is_model(backbone):
        raise ParamsError(f"params.yaml train.backbone: {shown(backbone)}; {_expected_backbone(backbone)}")
    # "fast" pooling is a mean; exporters convert the default pooling to a reshape and a gather.
    options: dict[str, Any] = {"num_classes": labels, "global_pool": "fast"}
    if padding == "same":
        options["pad_type"] = "same"
    if pretrained == "hub":
        try:
            return _shrink_head(_as_module(timm.create_model(backbone, pretrained=True, **options)), labels)
        except (OSError, RuntimeError) as error:
            raise ModelError(f"params.yaml train.pretrained: hub; {backbone} cannot be fetched: {error}") from error
    network = _shrink_head(_as_module(timm.create_model(backbone, **options)))
    if pretrained != "none":
        _load_pretrained(network, Path(pretrained))
    return network


def _expected_backbone(backbone: str) -> str:
    """Name the timm models whose names are most alike, and guess at the one that was meant."""
    name, models = backbone[:100], timm.list_models()
    near = difflib.get_close_matches(name, models, n=4, cutoff=0.0)  # always some, however odd the name
    guess = difflib.get_close_matches(name, near, n=1)
    return f"expected a timm model such as {', '.join(near)}" + (f"; did you mean {guess[0]!r}?" if guess else "")


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
    network = build_network(config.backbone, len(config.labels), padding=config.padding)
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


def _as_module(network: object) -> nn.Module:
    if not isinstance(network, nn.Module):
        raise ModelError(f"timm returned {type(network).__name__}; expected a torch module")
    return network


def _shrink_head(network: nn.Module, hub_labels: int = 0) -> nn.Module:
    """Initialise the head close to zero: timm's initialisation is too large for few outputs (first loss > 1.5).

    A head that was loaded with the hub's weights, because it has ``hub_labels`` outputs, is not changed.
    """
    if hub_labels and getattr(network, "pretrained_cfg", {}).get("num_classes") == hub_labels:
        return network
    head = network.get_classifier()  # type: ignore[operator]
    if isinstance(head, nn.Linear):
        nn.init.normal_(head.weight, std=0.01)
        nn.init.zeros_(head.bias)
    return network


def _load_pretrained(network: nn.Module, path: Path) -> None:
    if not path.is_file():
        raise ModelError(f"params.yaml train.pretrained: {path} is missing; expected none, hub or a .safetensors file")
    try:
        state = safetensors.torch.load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"params.yaml train.pretrained: {path} is not a safetensors file: {error}") from error
    own = network.state_dict()
    head = [name for name, tensor in state.items() if name in own and own[name].shape != tensor.shape]
    if any(not name.startswith(("classifier", "head", "fc")) for name in head):
        raise ModelError(f"params.yaml train.pretrained: {path} is another network's: {head[0]} has another shape")
    for name in head:
        del state[name]
    missing, unexpected = network.load_state_dict(state, strict=False)
    unset = [name for name in missing if name not in head and "num_batches_tracked" not in name]
    if unset or unexpected:
        first = (unset or unexpected)[0]
        raise ModelError(f"params.yaml train.pretrained: {path} is another network's: {first} does not match")

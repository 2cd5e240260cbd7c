"""The classifier and its checkpoint: normalisation, round trip and errors."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors.torch import save_file
from torch import nn

from pipeline.data.preprocess import PreprocessSpec, normalise
from pipeline.errors import DataError, ModelError
from pipeline.train.backbone import build_network
from pipeline.train.model import (
    CONFIG,
    WEIGHTS,
    CheckpointConfig,
    PortableClassifier,
    load_checkpoint,
    predict,
    save_checkpoint,
)

TINY = "test_efficientnet"
SPEC = PreprocessSpec(input_size=(48, 32), mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
CONFIG_OF_TINY = CheckpointConfig(
    backbone=TINY,
    padding="symmetric",
    labels=("no", "yes"),
    preprocess=SPEC,
    threshold=0.5,
    checkpoint_id="",
    dataset_id="d",
)
PIXELS = np.random.default_rng(5).integers(0, 256, (5, 48, 32, 3), np.uint8)


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(1)
    return build_network(TINY, 2).eval()


def test_the_portable_classifier_normalises_as_training_does(network: nn.Module) -> None:
    with torch.inference_mode():
        inside = PortableClassifier(network, SPEC)(torch.from_numpy(PIXELS))
        outside = torch.softmax(network(torch.from_numpy(normalise(PIXELS, SPEC))), 1)
    torch.testing.assert_close(inside, outside, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(inside.sum(1), torch.ones(5))


def test_a_loaded_checkpoint_gives_the_same_probabilities(tmp_path: Path, network: nn.Module) -> None:
    config = save_checkpoint(tmp_path, network, CONFIG_OF_TINY)
    assert config.checkpoint_id == hashlib.sha256((tmp_path / WEIGHTS).read_bytes()).hexdigest()
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.config == config
    assert not checkpoint.network.training
    with torch.inference_mode():
        expected = PortableClassifier(network, SPEC)(torch.from_numpy(PIXELS)).numpy()
    np.testing.assert_allclose(predict(checkpoint, PIXELS, batch_size=2), expected, rtol=1e-5, atol=1e-7)
    assert predict(checkpoint, PIXELS[:0]).shape == (0, 2)


def test_the_memory_layout_does_not_change_a_checkpoints_id(tmp_path: Path, network: nn.Module) -> None:
    first = save_checkpoint(tmp_path / "a", network, CONFIG_OF_TINY)
    second = save_checkpoint(tmp_path / "b", network.to(memory_format=torch.channels_last), CONFIG_OF_TINY)
    assert first.checkpoint_id == second.checkpoint_id


def test_a_damaged_checkpoint_is_refused(tmp_path: Path, network: nn.Module) -> None:
    with pytest.raises(DataError, match=rf"{CONFIG}: missing"):
        load_checkpoint(tmp_path)
    save_checkpoint(tmp_path, network, CONFIG_OF_TINY)
    state = safetensors.torch.load_file(tmp_path / WEIGHTS)
    state["classifier.bias"] += 1
    save_file(state, tmp_path / WEIGHTS)
    with pytest.raises(ModelError, match=rf"{WEIGHTS}: not the weights that .*{CONFIG} names; run dvc repro train"):
        load_checkpoint(tmp_path)
    (tmp_path / WEIGHTS).unlink()
    with pytest.raises(ModelError, match=rf"{WEIGHTS}: missing; expected the weights of {TINY}"):
        load_checkpoint(tmp_path)

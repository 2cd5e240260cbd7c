"""The classifier and its checkpoint: backbones, pretrained weights, round trip and errors."""

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
from pipeline.errors import DataError, ModelError, ParamsError
from pipeline.train.model import (
    CONFIG,
    WEIGHTS,
    CheckpointConfig,
    PortableClassifier,
    build_network,
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


@pytest.mark.parametrize(
    "backbone", ["mobilenetv3_small_100", "mobilenetv2_100", "mobilenetv4_conv_small", "tf_efficientnet_lite0"]
)
def test_every_backbone_of_the_readme_has_one_output_per_label(backbone: str) -> None:
    network = build_network(backbone, 3).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 64, 48)).shape == (1, 3)


def test_a_new_head_gives_probabilities_near_a_half(network: nn.Module) -> None:
    probabilities = torch.softmax(network(torch.from_numpy(normalise(PIXELS, SPEC))), 1)
    assert (probabilities - 0.5).abs().max() < 0.1


def test_same_padding_changes_the_output() -> None:
    symmetric, same = build_network("mobilenetv2_100", 2), build_network("mobilenetv2_100", 2, padding="same")
    same.load_state_dict(symmetric.state_dict())
    pixels = torch.rand(1, 3, 64, 48)
    with torch.inference_mode():
        assert not torch.allclose(symmetric.eval()(pixels), same.eval()(pixels))


def test_an_unknown_backbone_is_an_error_with_its_place_and_similar_names() -> None:
    with pytest.raises(ParamsError, match=r"train.backbone: 'mobilenetv9_x'; expected a timm model such as mobilenet"):
        build_network("mobilenetv9_x", 2)


def test_a_misspelt_backbone_is_guessed() -> None:
    with pytest.raises(ParamsError, match=r"did you mean 'mobilenetv3_small_100'\?"):
        build_network("mobilenetv3_smal_100", 2)


@pytest.mark.parametrize("name", ["", "qqqq", "[", "*", "x" * 10_000], ids=["empty", "odd", "bracket", "star", "long"])
def test_the_error_for_an_odd_backbone_names_models_and_stays_short(name: str) -> None:
    with pytest.raises(ParamsError, match=r"expected a timm model such as \w+") as caught:
        build_network(name, 2)
    assert "list_models" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_unreachable_hub_weights_are_an_error_with_their_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=rf"train.pretrained: hub; {TINY}.r160_in1k cannot be fetched"):
        build_network(f"{TINY}.r160_in1k", 2, "hub")


def test_pretrained_weights_with_other_labels_get_a_new_head(tmp_path: Path) -> None:
    many = build_network(TINY, 10)
    save_file(many.state_dict(), tmp_path / "many.safetensors")
    few = build_network(TINY, 2, str(tmp_path / "many.safetensors"))
    body = {name: tensor for name, tensor in few.state_dict().items() if not name.startswith("classifier")}
    assert body
    assert all(torch.equal(tensor, many.state_dict()[name]) for name, tensor in body.items())
    assert few.state_dict()["classifier.weight"].shape[0] == 2


def test_pretrained_weights_with_equally_many_labels_keep_their_head(tmp_path: Path, network: nn.Module) -> None:
    save_file(network.state_dict(), tmp_path / "same.safetensors")
    again = build_network(TINY, 2, str(tmp_path / "same.safetensors"))
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in network.state_dict().items())


def test_pretrained_weights_that_do_not_fit_are_refused(tmp_path: Path, network: nn.Module) -> None:
    with pytest.raises(ModelError, match=r"gone.safetensors is missing; expected none, hub or a .safetensors file"):
        build_network(TINY, 2, str(tmp_path / "gone.safetensors"))
    (tmp_path / "text.safetensors").write_text("no tensors here")
    with pytest.raises(ModelError, match="not a safetensors file"):
        build_network(TINY, 2, str(tmp_path / "text.safetensors"))
    save_file(build_network("test_resnet", 2).state_dict(), tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="another network's"):
        build_network(TINY, 2, str(tmp_path / "other.safetensors"))
    state = network.state_dict()
    state["conv_stem.weight"] = torch.zeros(1, 2, 3, 4)
    save_file(state, tmp_path / "bent.safetensors")
    with pytest.raises(ModelError, match=r"conv_stem.weight has another shape"):
        build_network(TINY, 2, str(tmp_path / "bent.safetensors"))


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

"""Backbones of timm: the options that each accepts, names, sizes that it cannot take, and pretrained weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from timm.layers import SelectAdaptivePool2d
from torch import nn

from pipeline.data.preprocess import PreprocessSpec, normalise
from pipeline.errors import ModelError, ParamsError
from pipeline.train.backbone import build_network

TINY = "test_efficientnet"
SPEC = PreprocessSpec(input_size=(48, 32), mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
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
    with pytest.raises(ModelError, match=r"gone.safetensors is missing; expected none, package, hub or a "):
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


@pytest.mark.parametrize(
    "backbone",
    [
        "levit_128s",  # pools without an option of timm's
        "vit_tiny_patch16_224",  # has a fixed input size
        "swin_tiny_patch4_window7_224",  # likewise, in windows
        "crossvit_9_240",  # has a parameter img_size, and fails with the size of its input there
        "resnet18",
    ],
)
def test_a_backbone_is_built_with_the_options_that_it_accepts(backbone: str) -> None:
    network = build_network(backbone, 2, input_size=(128, 96)).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 128, 96)).shape == (1, 2)


def test_pooling_is_a_mean_wherever_timm_has_a_choice_and_averages(network: nn.Module) -> None:
    pools = [module for module in network.modules() if isinstance(module, SelectAdaptivePool2d)]
    assert [pool.pool_type for pool in pools] == ["fast"]
    tokens = build_network("test_vit", 2)
    assert [module for module in tokens.modules() if isinstance(module, SelectAdaptivePool2d)] == []


def test_the_sketch_and_the_trial_of_a_backbone_take_no_random_numbers(network: nn.Module) -> None:
    torch.manual_seed(1)
    tried = build_network(TINY, 2, input_size=(48, 32))
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(tried.parameters(), network.parameters(), strict=True))
    following = torch.rand(1)
    torch.manual_seed(1)
    build_network(TINY, 2)
    assert torch.equal(torch.rand(1), following)


def test_the_trial_leaves_no_trace_in_the_network() -> None:
    """It runs on a copy: LeViT keeps attention biases from eval mode, which later weights would not change."""
    network = build_network("levit_128s", 2, input_size=(64, 64))
    assert network.training
    assert not any(getattr(module, "attention_bias_cache", None) for module in network.modules())


@pytest.mark.parametrize("backbone", ["resnet18", "regnetx_002", "mobilevit_s"])
def test_a_backbone_without_tensorflows_padding_is_refused_with_names_that_have_it(backbone: str) -> None:
    with pytest.raises(ParamsError, match=r"train.padding: same; .* expected symmetric, or a train.backbone") as error:
        build_network(backbone, 2, padding="same")
    suggested = str(error.value).rpartition("such as ")[2].split(", ")
    assert build_network(suggested[0], 2, padding="same")


def test_a_size_that_a_backbone_cannot_take_is_refused_with_its_own_size_and_names_that_can() -> None:
    with pytest.raises(ParamsError) as error:
        build_network("bat_resnext26ts", 2, input_size=(128, 96))
    text = str(error.value)
    assert text.startswith("params.yaml train.backbone: 'bat_resnext26ts' cannot classify images of 128x96 pixels")
    assert "expected its own size, 256x256, or a backbone that can, such as " in text
    assert build_network(text.rpartition("such as ")[2].split(", ")[0], 2, input_size=(128, 96))


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("mobilenetv3_smal_100", "mobilenetv3_small_100"),
        ("MobileNet-v3-small-100", "mobilenetv3_small_100"),
        ("timm/resnet18.a1_in1k", "resnet18"),
        ("mobileone_s00", "mobileone_s0"),
    ],
)
def test_an_unknown_backbone_is_refused_with_a_guess_at_what_was_meant(asked: str, meant: str) -> None:
    with pytest.raises(ParamsError) as error:
        build_network(asked, 2)
    assert str(error.value).startswith(f"params.yaml train.backbone: {asked!r}; expected a timm model such as ")
    assert str(error.value).endswith(f"; did you mean {meant!r}?")


@pytest.mark.parametrize("name", ["", "qqqq", "[", "*", "x" * 10_000], ids=["empty", "odd", "bracket", "star", "long"])
def test_the_error_for_an_odd_backbone_names_models_and_stays_short(name: str) -> None:
    with pytest.raises(ParamsError, match=r"expected a timm model such as \w+") as caught:
        build_network(name, 2)
    assert "list_models" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_an_unknown_tag_is_refused_with_those_of_the_backbone() -> None:
    with pytest.raises(ParamsError, match=r"timm has no weights of this name; expected test_efficientnet.r160_in1k$"):
        build_network(f"{TINY}.imagenet", 2)


def test_pretrained_weights_get_a_new_head_whatever_timm_calls_it(tmp_path: Path) -> None:
    save_file(build_network("inception_v4", 3).state_dict(), tmp_path / "many.safetensors")
    few = build_network("inception_v4", 2, str(tmp_path / "many.safetensors"))
    assert few.state_dict()["last_linear.weight"].shape[0] == 2

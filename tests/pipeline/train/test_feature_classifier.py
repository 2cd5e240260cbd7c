"""The classifier on a feature map: its weights, its features, and backbones that have no feature map."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from torch import nn

from pipeline.errors import ParamsError
from pipeline.train.backbone import Architecture, build_network
from pipeline.train.feature_classifier import build_feature_classifier

SIZE = (64, 48)


def architecture(backbone: str = "test_efficientnet", labels: int = 2, *, expert: bool = False) -> Architecture:
    return Architecture("head", backbone, labels, "symmetric", SIZE, expert)


@pytest.mark.parametrize("backbone", ["test_efficientnet", "test_resnet", "test_convnext"])
def test_the_features_are_those_of_the_whole_network(backbone: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        built = build_feature_classifier(architecture(backbone, 3)).eval()
        torch.manual_seed(1)
        whole = build_network(backbone, 3, input_size=SIZE).eval()
    pixels = torch.rand(2, 3, *SIZE)
    with torch.inference_mode():
        (expected,) = whole.forward_intermediates(pixels, indices=1, intermediates_only=True)
        (found,) = built.trunk(pixels)
        assert torch.equal(found, expected)
        assert built(pixels).shape == (2, 3)


def test_features_have_length_one_and_follow_the_weights_of_the_cells() -> None:
    built = build_feature_classifier(architecture()).eval()
    pixels = torch.rand(4, 3, *SIZE)
    with torch.inference_mode():
        (feature_map,) = built.maps(pixels)
        everywhere = built.pool(feature_map)
        built.cell_weights.zero_()[..., 0, 0] = 1
        corner = built.pool(feature_map)
    lengths = torch.stack([everywhere, corner]).norm(dim=2)
    torch.testing.assert_close(lengths, torch.ones(2, 4))
    assert not torch.allclose(everywhere, corner)


def test_the_head_gives_the_scores_of_its_directions() -> None:
    built = build_feature_classifier(architecture()).eval()
    weight = np.random.default_rng(0).normal(size=tuple(built.classifier.weight.shape))
    built.set_head(weight, np.array([0.25, -0.5]))
    pixels = torch.rand(3, 3, *SIZE)
    with torch.inference_mode():
        scores = built(pixels).double().numpy()
        features = built.pool(built.maps(pixels)[0]).double().numpy()
    np.testing.assert_allclose(scores, features @ weight.T + [0.25, -0.5], rtol=1e-4, atol=1e-5)


def test_an_image_without_any_feature_has_a_finite_score() -> None:
    built = build_feature_classifier(architecture()).eval()
    built.trunk = _Zeros()
    with torch.inference_mode():
        assert torch.isfinite(built(torch.zeros(1, 3, *SIZE))).all()


def test_a_backbone_without_feature_maps_is_refused_with_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    real = timm.create_model

    def create(name: str, **options: object) -> object:
        if options.get("features_only"):
            raise RuntimeError("features_only not implemented")
        return real(name, **options)

    monkeypatch.setattr(timm, "create_model", create)
    with pytest.raises(ParamsError, match=r"method: head; 'test_vit' .*not implemented.*such as tf_efficientnet_lite0"):
        build_feature_classifier(replace(architecture("test_vit"), input_size=(160, 160)))


def test_an_expert_needs_maps_of_which_the_last_has_half_as_many_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    assert build_feature_classifier(architecture(expert=True)).expert is not None
    kind = type(timm.create_model("test_resnet", features_only=True))
    monkeypatch.setattr(kind, "forward", lambda *_: [torch.zeros(1, 8, 4, 3)] * 2)
    with pytest.raises(ParamsError, match=r"train.expert: true; .* \(4, 3\) and \(4, 3\) cells; .*expert: false"):
        build_feature_classifier(architecture("test_resnet", expert=True))


class _Zeros(nn.Module):
    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        return [torch.zeros(len(pixels), 64, 2, 2)]

"""The classifier on a feature map: its weights, its features, and backbones that have no feature map."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from torch import nn

from pipeline.errors import ParamsError
from pipeline.train.backbone import build_network
from pipeline.train.feature_classifier import build_feature_classifier

SIZE = (64, 48)


@pytest.mark.parametrize("backbone", ["test_efficientnet", "test_resnet", "test_convnext"])
def test_the_features_are_those_of_the_whole_network(backbone: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        built = build_feature_classifier(backbone, 3, "none", "symmetric", SIZE).eval()
        torch.manual_seed(1)
        whole = build_network(backbone, 3, input_size=SIZE).eval()
    pixels = torch.rand(2, 3, *SIZE)
    with torch.inference_mode():
        (expected,) = whole.forward_intermediates(pixels, indices=1, intermediates_only=True)
        (found,) = built.trunk(pixels)
        assert torch.equal(found, expected)
        assert built(pixels).shape == (2, 3)


def test_features_have_length_one_and_follow_the_weights_of_the_cells() -> None:
    built = build_feature_classifier("test_efficientnet", 2, "none", "symmetric", SIZE).eval()
    pixels = torch.rand(4, 3, *SIZE)
    with torch.inference_mode():
        everywhere = built.features(pixels)
        built.cell_weights.zero_()[..., 0, 0] = 1
        corner = built.features(pixels)
    lengths = torch.stack([everywhere, corner]).norm(dim=2)
    torch.testing.assert_close(lengths, torch.ones(2, 4))
    assert not torch.allclose(everywhere, corner)


def test_the_head_gives_the_scores_of_its_directions() -> None:
    built = build_feature_classifier("test_efficientnet", 2, "none", "symmetric", SIZE).eval()
    weight = np.random.default_rng(0).normal(size=tuple(built.classifier.weight.shape))
    built.set_head(weight, np.array([0.25, -0.5]))
    pixels = torch.rand(3, 3, *SIZE)
    with torch.inference_mode():
        scores = built(pixels).double().numpy()
        features = built.features(pixels).double().numpy()
    np.testing.assert_allclose(scores, features @ weight.T + [0.25, -0.5], rtol=1e-4, atol=1e-5)


def test_an_image_without_any_feature_has_a_finite_score() -> None:
    built = build_feature_classifier("test_efficientnet", 2, "none", "symmetric", SIZE).eval()
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
        build_feature_classifier("test_vit", 2, "none", "symmetric", (160, 160))


class _Zeros(nn.Module):
    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        return [torch.zeros(len(pixels), 64, 2, 2)]

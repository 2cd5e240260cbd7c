from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from pipeline.bundled_diffusion.networks.attribute_net import (
    AttributeNet,
    load_attribute_net,
    pooled_features,
    predict_attributes,
    save_attribute_net,
    split_logits,
    to_input,
)

FACTORS = {"colour": ("dark", "bright"), "side": ("left", "middle", "right")}
PIXELS = np.random.default_rng(3).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)


def network() -> AttributeNet:
    torch.manual_seed(0)
    return AttributeNet(FACTORS).eval()


def test_feature_maps_halve_the_size_four_times() -> None:
    maps = network().features(to_input(PIXELS))
    assert [tuple(stage.shape[1:]) for stage in maps] == [(32, 16, 16), (64, 8, 8), (128, 4, 4), (192, 2, 2)]


def test_inputs_lie_between_minus_one_and_one() -> None:
    images = to_input(np.array([0, 255], np.uint8).reshape(2, 1, 1, 1).repeat(3, 3))
    assert images.shape == (2, 3, 1, 1)
    assert images.flatten().tolist() == [-1.0] * 3 + [1.0] * 3


def test_logits_are_split_by_factor() -> None:
    parts = split_logits(torch.arange(10.0).reshape(2, 5), FACTORS)
    assert parts["colour"].tolist() == [[0, 1], [5, 6]]
    assert parts["side"].tolist() == [[2, 3, 4], [7, 8, 9]]


def test_predictions_do_not_depend_on_the_batch_size() -> None:
    net = network()
    whole, single = (predict_attributes(net, PIXELS, batch_size=size) for size in (5, 1))
    assert all(np.array_equal(whole[name], single[name]) for name in FACTORS)
    assert pooled_features(net, PIXELS, 2).shape == (5, 192)


def test_a_saved_network_predicts_the_same(tmp_path: Path) -> None:
    net = network()
    save_attribute_net(net, tmp_path / "net.safetensors")
    loaded = load_attribute_net(tmp_path / "net.safetensors")
    assert loaded.factors == FACTORS
    np.testing.assert_array_equal(predict_attributes(loaded, PIXELS)["side"], predict_attributes(net, PIXELS)["side"])

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from pipeline.bundled_diffusion.config import AttributeRecipe
from pipeline.bundled_diffusion.networks.attribute_net import (
    fit_attributes,
    load_attributes,
    read_attributes,
    save_attributes,
    to_input,
)

FACTORS = {"colour": ("dark", "bright"), "side": ("left", "right")}
RECIPE = AttributeRecipe(epochs=12, batch_size=16, learning_rate=0.01, precision="float32", seed=1)


def squares(count: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Dark or bright squares; the side is known of none of them."""
    rng = np.random.default_rng(3)
    colour = rng.integers(0, 2, count)
    pixels = rng.integers(0, 40, (count, 32, 32, 3)).astype(np.uint8)
    pixels[:, 8:24, 8:24] += (colour * 180).astype(np.uint8)[:, None, None, None]
    return pixels, {"colour": colour, "side": np.full(count, -1)}


def test_what_is_known_is_learned_and_what_is_not_is_passed_over(tmp_path: Path) -> None:
    pixels, codes = squares(96)
    net = fit_attributes(pixels[:64], {name: values[:64] for name, values in codes.items()}, FACTORS, RECIPE)
    seen = read_attributes(net, pixels[64:])
    assert (seen["colour"] == codes["colour"][64:]).mean() >= 0.9
    save_attributes(net, tmp_path / "net.safetensors")
    again = load_attributes(tmp_path / "net.safetensors")
    assert again.factors == FACTORS
    np.testing.assert_array_equal(read_attributes(again, pixels)["side"], read_attributes(net, pixels)["side"])


def test_features_halve_the_size_four_times() -> None:
    pixels, _ = squares(2)
    torch.manual_seed(0)
    net = fit_attributes(*squares(16), FACTORS, RECIPE.model_copy(update={"epochs": 1}))
    assert [tuple(maps.shape[2:]) for maps in net.features(to_input(pixels))] == [(16, 16), (8, 8), (4, 4), (2, 2)]

from __future__ import annotations

import numpy as np

from pipeline.bundled_diffusion.config import AttributeNetConfig
from pipeline.bundled_diffusion.networks.attribute_net import predict_attributes
from pipeline.bundled_diffusion.training.train_attribute_net import train_attribute_net

FACTORS = {"colour": ("dark", "bright"), "side": ("left", "right")}
CONFIG = AttributeNetConfig(epochs=12, batch_size=16, learning_rate=0.01, precision="float32", seed=1)


def squares(count: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Dark or bright squares; the side is unknown for all of them."""
    rng = np.random.default_rng(3)
    colour = rng.integers(0, 2, count)
    pixels = rng.integers(0, 40, (count, 32, 32, 3)).astype(np.uint8)
    pixels[:, 8:24, 8:24] += (colour * 180).astype(np.uint8)[:, None, None, None]
    return pixels, {"colour": colour, "side": np.full(count, -1)}


def test_known_factors_are_learned_and_unknown_ones_ignored() -> None:
    pixels, codes = squares(96)
    net = train_attribute_net(pixels[:64], {name: values[:64] for name, values in codes.items()}, FACTORS, CONFIG)
    predicted = predict_attributes(net, pixels[64:])
    assert (predicted["colour"] == codes["colour"][64:]).mean() >= 0.9


def test_the_same_seed_trains_the_same_network() -> None:
    once = CONFIG.model_copy(update={"epochs": 1})
    first, second = (train_attribute_net(*squares(32), FACTORS, once).state_dict() for _ in range(2))
    assert all(value.equal(second[name]) for name, value in first.items())

"""Parameters and multiply-accumulates against those worked out by hand, and a published count."""

from __future__ import annotations

import pytest
from torch import nn

from pipeline.train.model import Complexity, build_network, measure_complexity


def test_a_convolution_and_a_matrix_are_counted_as_by_hand() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False),  # 8 x 6 -> 4 x 3: 12 places, 4 outputs, 27 products
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 2),
    ).eval()
    assert measure_complexity(network, (8, 6)) == Complexity(
        parameters=4 * 27 + 2 * 4 + 4 * 2 + 2, macs=12 * 4 * 27 + 8
    )


def test_mobilenet_is_as_large_as_it_is_published_to_be() -> None:
    network = build_network("mobilenetv3_small_100", 1000).eval()
    counted = measure_complexity(network, (224, 224))
    assert counted.macs == pytest.approx(56e6, rel=0.02)  # arXiv 1905.02244, table 3: 56 M
    assert counted.parameters == pytest.approx(2.5e6, rel=0.02)

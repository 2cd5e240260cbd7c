"""Parameters and multiply-accumulates equal those counted by hand, and those of a published table."""

from __future__ import annotations

import pytest
from torch import nn

from pipeline.train.backbone import build_network
from pipeline.train.complexity import Complexity, measure_complexity


def test_convolution_and_linear_layers_are_counted_as_by_hand() -> None:
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


def test_the_counts_of_mobilenetv3_are_those_of_its_paper() -> None:
    network = build_network("mobilenetv3_small_100", 1000).eval()
    counted = measure_complexity(network, (224, 224))
    assert counted.macs == pytest.approx(56e6, rel=0.02)  # arXiv 1905.02244, table 3: 56 M
    assert counted.parameters == pytest.approx(2.5e6, rel=0.02)

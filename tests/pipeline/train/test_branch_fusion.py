"""A fused network answers as the trained one, with fewer parameters and operations."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pipeline.train.backbone import build_network
from pipeline.train.branch_fusion import fuse_branches
from pipeline.train.complexity import measure_complexity

SIZE = (64, 64)


def build_lively(backbone: str) -> nn.Module:
    """Build a network as if it had been trained: each batch norm does something."""
    torch.manual_seed(2)
    network = build_network(backbone, 2, input_size=SIZE).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(2, 4)
            nn.init.uniform_(module.weight, 0.4, 0.6)
            nn.init.normal_(module.bias, 0, 0.1)
    return network


@pytest.mark.parametrize("backbone", ["mobileone_s0", "repvgg_a0", "fastvit_t8", "repvit_m0_9", "levit_128s"])
def test_a_fused_network_gives_the_same_probabilities_in_fewer_operations(backbone: str) -> None:
    network = build_lively(backbone)
    images = torch.rand(2, 3, *SIZE) * 2 - 1
    with torch.inference_mode():
        before = torch.softmax(network(images), 1)
    fused = fuse_branches(network)
    with torch.inference_mode():
        torch.testing.assert_close(torch.softmax(fused(images), 1), before, rtol=0, atol=1e-5)
        torch.testing.assert_close(torch.softmax(network(images), 1), before, rtol=0, atol=0)
    assert not fused.training
    whole, small = measure_complexity(network, SIZE), measure_complexity(fused, SIZE)
    assert small.parameters < whole.parameters
    assert small.macs <= whole.macs


def test_mobileone_is_a_quarter_of_its_size_when_fused() -> None:
    network = build_network("mobileone_s0", 2)
    whole, small = (measure_complexity(each.eval(), SIZE) for each in (network, fuse_branches(network)))
    assert small.parameters < 0.26 * whole.parameters


def test_a_network_without_branches_stays_as_it_is() -> None:
    network = build_lively("test_efficientnet")
    fused = fuse_branches(network)
    assert [type(module) for module in fused.modules()] == [type(module) for module in network.modules()]
    assert fused.state_dict().keys() == network.state_dict().keys()
    assert all(torch.equal(tensor, fused.state_dict()[name]) for name, tensor in network.state_dict().items())

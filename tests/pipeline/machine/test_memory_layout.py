"""Channels last corrupts memory with some layers on a CPU: networks that have one are contiguous, all others are not.

No test here runs the faulty kernel. Its limits were measured with a guard page behind every buffer: the gradient of the
weights faults with 1 to 15 input channels on AVX-512 and with 1 to 7 on AVX2, not with 16 or more, and not with groups.
"""

from __future__ import annotations

from itertools import product

import pytest
import timm
import torch
from torch import nn

from pipeline.bundled_diffusion.networks.attribute_net import AttributeNet
from pipeline.bundled_diffusion.networks.autoencoder import build_autoencoder
from pipeline.bundled_diffusion.networks.denoiser import DenoiserShape, build_denoiser
from pipeline.data.preprocess import PreprocessSpec
from pipeline.machine.memory_layout import choose_memory_format, lay_out
from pipeline.train.model import PortableClassifier


class Unchanged(nn.Module):
    """A network that returns its input, so that a test sees the layout that arrives."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image


@pytest.mark.parametrize(("channels", "stride"), list(product((1, 3, 7, 8, 13, 15), (2, (1, 2), 3))))
def test_a_network_with_a_strided_1x1_convolution_of_few_channels_is_contiguous(
    channels: int, stride: int | tuple[int, int]
) -> None:
    network = nn.Sequential(nn.Conv2d(3, channels, 3), nn.Sequential(nn.Conv2d(channels, 32, 1, stride)))
    assert choose_memory_format(network) == torch.contiguous_format


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 32, 1),
        nn.Conv2d(3, 32, 3, 2),
        nn.Conv2d(3, 32, 2, 2),
        nn.Conv2d(16, 32, 1, 2),
        nn.Conv2d(8, 8, 1, 2, groups=8),
        nn.ConvTranspose2d(3, 32, 1, 2),
        nn.Linear(3, 2),
    ],
)
def test_all_other_networks_are_channels_last(layer: nn.Module) -> None:
    assert choose_memory_format(nn.Sequential(layer)) == torch.channels_last


@pytest.mark.parametrize("backbone", ["mobileone_s0", "fastvit_t8", "repvgg_a0", "gernet_s"])
def test_backbones_that_corrupted_the_heap_are_contiguous(backbone: str) -> None:
    with torch.device("meta"):
        network = timm.create_model(backbone, num_classes=2)
    assert choose_memory_format(network) == torch.contiguous_format


@pytest.mark.parametrize("backbone", ["mobilenetv3_small_100", "mobilenetv2_100", "mobilenetv4_conv_small", "resnet18"])
def test_backbones_that_are_safe_keep_the_faster_layout(backbone: str) -> None:
    with torch.device("meta"):
        network = timm.create_model(backbone, num_classes=2)
    assert choose_memory_format(network) == torch.channels_last


def test_the_networks_of_the_bundled_diffusion_are_safe() -> None:
    """Their inputs are channels last without a look at the network."""
    shape = DenoiserShape(4, (8, 8), (16, 16, 32), 16)
    for network in (AttributeNet({"light": ("day", "night")}), build_autoencoder(4, (8, 8)), build_denoiser(shape)):
        assert choose_memory_format(network) == torch.channels_last


@pytest.mark.parametrize(("layer", "contiguous"), [(nn.Conv2d(3, 8, 1, 2), True), (nn.Conv2d(3, 8, 3, 2), False)])
def test_weights_and_input_have_the_layout_that_was_chosen(layer: nn.Module, contiguous: bool) -> None:
    classifier = lay_out(PortableClassifier(Unchanged(layer), PreprocessSpec(input_size=(8, 6))))
    arrives = classifier.logits(torch.zeros(2, 8, 6, 3, dtype=torch.uint8))
    assert arrives.is_contiguous() == contiguous
    assert arrives.is_contiguous(memory_format=torch.channels_last) != contiguous
    wide = lay_out(nn.Sequential(layer, nn.Conv2d(8, 4, 3)))[1].weight
    assert wide.is_contiguous() == contiguous

"""Chooses the memory layout of a network: channels last, or contiguous where channels last is not safe.

Convolutions on a CPU, depthwise ones above all, are faster if channels are the innermost dimension. In that layout,
however, oneDNN writes past a buffer when it computes the gradient of the weights of a 1x1 convolution that has a stride
and fewer input channels than a vector register has floats: 16 with AVX-512, 8 with AVX2
(https://github.com/uxlfoundation/oneDNN/issues/6035, present in PyTorch 2.14). Training then ends in a corrupted heap
or, without a crash, has wrong gradients. oneDNN chooses the layout by the weights and by the input: both have to be
contiguous. Convolutions with groups use other code and are not affected.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)

SAFE_CHANNELS = 16
"""Fewest input channels with which a strided 1x1 convolution is safe on every CPU."""


def choose_memory_format(network: nn.Module) -> torch.memory_format:
    """Choose the layout of a network's weights and inputs: contiguous if any of its layers needs it."""
    unsafe = any(_is_unsafe_channels_last(module) for module in network.modules())
    return torch.contiguous_format if unsafe else torch.channels_last


def lay_out(network: Network) -> Network:
    """Move a network's weights, in place, to the layout that ``choose_memory_format`` chooses; returns the network."""
    return network.to(memory_format=choose_memory_format(network))


def _is_unsafe_channels_last(layer: nn.Module) -> bool:
    return (
        isinstance(layer, nn.Conv2d)
        and layer.kernel_size == (1, 1)
        and max(layer.stride) > 1
        and layer.groups == 1
        and layer.in_channels < SAFE_CHANNELS
    )

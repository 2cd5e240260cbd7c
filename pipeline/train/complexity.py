"""Size of a network: its parameters, and the multiply-accumulates of one inference.

Imports torch only to count, so that processes that read a ``Complexity`` stay small: their memory is measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.data.records import Record

if TYPE_CHECKING:
    from torch import nn


class Complexity(Record):
    """Size of one network at one input size.

    Attributes:
        parameters: Number of weights.
        macs: Multiply-accumulates for one frame; two floating-point operations each.
    """

    parameters: int
    macs: int


def measure_complexity(network: nn.Module, input_size: tuple[int, int]) -> Complexity:
    """Count parameters and multiply-accumulates by one inference with PyTorch's FLOP counter.

    Args:
        network: Takes float32 (n, 3, height, width).
        input_size: (height, width) of the frame, in pixels.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, *input_size))
    return Complexity(
        parameters=sum(parameter.numel() for parameter in network.parameters()), macs=counter.get_total_flops() // 2
    )

"""How large a network is, whatever runs it: parameters, and multiply-accumulates an inference.

Multiply-accumulates are half of what PyTorch's ``FlopCounterMode`` counts for one frame: it counts two operations for
each product of a convolution or a matrix product, and nothing for additions, activations, pooling or normalisation, as
published figures do. Batch normalisation is counted as it stands in the checkpoint: not at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.data.records import Record

if TYPE_CHECKING:
    from torch import nn


class Complexity(Record):
    """Of one network at one input size."""

    parameters: int
    macs: int


def measure_complexity(network: nn.Module, input_size: tuple[int, int]) -> Complexity:
    """Count a network's parameters, and its multiply-accumulates for one frame of ``input_size`` (height, width)."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, *input_size))
    return Complexity(
        parameters=sum(each.numel() for each in network.parameters()), macs=counter.get_total_flops() // 2
    )

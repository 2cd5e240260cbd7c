"""Lowers an exported network to the bytes of a .pte program that XNNPACK runs.

It also writes the constant methods of a program again. The same network gives the same bytes: torch's notes on where a
node came from are removed, because they would end up in the order of the program's debug data.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from torch.export import ExportedProgram

_NOTES = ("from_node", "stack_trace")


def capture(network: nn.Module, size: tuple[int, int]) -> ExportedProgram:
    """Capture a network that takes one frame, uint8 (1, height, width, 3); ``size`` is (height, width)."""
    return torch.export.export(network, (torch.zeros(1, *size, 3, dtype=torch.uint8),))


def lower(program: ExportedProgram, constants: Mapping[str, str]) -> bytes:
    """Lower a captured network.

    Args:
        program: The network, in float or with the quantize and dequantize ops of torchao.
        constants: Methods to add: name -> the string it returns.
    """
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    for node in program.graph.nodes:
        for note in _NOTES:
            node.meta.pop(note, None)
    methods: dict[str, Any] = dict(constants)
    edge = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()], constant_methods=methods)
    return bytes(edge.to_executorch().buffer)


def replace_constants(content: bytes, constants: Mapping[str, str]) -> bytes:
    """Replace all constant methods of a .pte program that ``lower`` wrote; its network stays as it is.

    Args:
        content: The program.
        constants: Name -> the string that the method returns, in the order they are written.
    """
    from executorch.exir._serialize import _deserialize_pte_binary, _serialize_pte_binary

    file = _deserialize_pte_binary(content)
    plans = file.program.execution_plan
    network = [plan for plan in plans if plan.inputs]
    constant = next(plan for plan in plans if not plan.inputs)
    for name, text in constants.items():
        plan = copy.deepcopy(constant)
        plan.name, plan.values[0].val.string_val = name, text
        network.append(plan)
    file.program.execution_plan = network
    return bytes(_serialize_pte_binary(file, extract_delegate_segments=True))

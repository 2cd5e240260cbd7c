"""Keeps 8-bit quantisation from wrecking channels that a network has switched off.

Training with weight decay leaves output channels whose weights are (nearly) zero and whose bias is not. A quantiser
gives each channel the scale of its own weights, and the bias the product of that and the input's scale: for a dead
channel the bias then overflows 32 bits and comes out as its opposite. One weight of the channel is raised just so far
that the bias fits; what that adds to the output is below a ten-thousandth of the bias.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Half of what an int32 holds leaves room for the sums.
_MAX_BIAS = 2.0**30
_LEVELS = 127


def revive_dead_channels(model: bytes, steps: Mapping[str, float]) -> bytes:
    """Raise the weights of dead channels in a float32 TFLite flatbuffer.

    Args:
        model: The flatbuffer, not quantised yet.
        steps: Tensor name -> what one level of its 8 bits will be worth; operators without their input here are left.

    Returns:
        A flatbuffer of the same length.
    """
    from ai_edge_litert import schema_py_generated as schema

    channel_axis = {
        schema.BuiltinOperator.CONV_2D: 0,
        schema.BuiltinOperator.FULLY_CONNECTED: 0,
        schema.BuiltinOperator.DEPTHWISE_CONV_2D: 3,
    }
    data = bytearray(model)
    root = schema.Model.GetRootAs(data, 0)
    graph = root.Subgraphs(0)
    for index in range(graph.OperatorsLength()):
        operator = graph.Operators(index)
        axis = channel_axis.get(root.OperatorCodes(operator.OpcodeIndex()).BuiltinCode())
        if axis is None or operator.InputsLength() < 3 or operator.Inputs(2) < 0:
            continue
        step = steps.get(graph.Tensors(operator.Inputs(0)).Name().decode())
        if step:
            weight, bias = (_view(root, graph.Tensors(operator.Inputs(place))) for place in (1, 2))
            raise_weights(np.moveaxis(weight, axis, 0), bias, step)
    return bytes(data)


def raise_weights(weight: NDArray[np.float32], bias: NDArray[np.float32], step: float) -> None:
    """Raise, in place, the first weight of every channel that is too weak for its bias.

    Args:
        weight: (channels, ...), a writable view.
        bias: (channels,).
        step: What one level of the input's 8 bits is worth.
    """
    needed = _LEVELS * np.abs(bias) / (step * _MAX_BIAS)
    strongest = np.abs(weight.reshape(len(weight), -1)).max(axis=1)
    for channel in np.flatnonzero(strongest < needed):
        weight[channel].flat[0] = needed[channel]


def _view(root: Any, tensor: Any) -> NDArray[np.float32]:  # noqa: ANN401 - the schema has no types
    """Float32 view into the flatbuffer's own bytes, in the tensor's shape."""
    return np.frombuffer(root.Buffers(tensor.Buffer()).DataAsNumpy(), np.float32).reshape(tensor.ShapeAsNumpy())

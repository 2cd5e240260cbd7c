"""Prevents 8-bit quantisation from corrupting dead channels, whose bias would overflow.

Training with weight decay leaves output channels whose weights are (nearly) zero and whose bias is not. A quantiser
scales each channel by its own weights, and the bias by that scale times the input's scale: the bias of a dead channel
then overflows 32 bits and wraps around to the opposite sign. One weight of such a channel is raised just enough for the
bias to fit; that changes the output by less than a ten-thousandth of the bias. Bytes in, bytes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAX_BIAS = 2.0**30
"""Largest quantised bias: half of the int32 range, which leaves room for the sums."""
_LEVELS = 127


def revive_dead_channels(model: bytes, steps: Mapping[str, float]) -> bytes:
    """Raise the weights of dead channels in a float32 TFLite flatbuffer.

    Args:
        model: The flatbuffer, not quantised yet.
        steps: Tensor name -> quantisation step it will have; operators whose input is not listed are left unchanged.

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
    """Raise, in place, the first weight of every channel whose weights are too small for its bias.

    Args:
        weight: Weights, float32 (channels, ...), a writable view.
        bias: Biases, float32 (channels,).
        step: Quantisation step of the input.
    """
    needed = _LEVELS * np.abs(bias) / (step * _MAX_BIAS)
    strongest = np.abs(weight.reshape(len(weight), -1)).max(axis=1)
    for channel in np.flatnonzero(strongest < needed):
        weight[channel].flat[0] = needed[channel]


def _view(root: Any, tensor: Any) -> NDArray[np.float32]:  # noqa: ANN401 - the schema has no types
    """Return a float32 view of a tensor's bytes in the flatbuffer."""
    return np.frombuffer(root.Buffers(tensor.Buffer()).DataAsNumpy(), np.float32).reshape(tensor.ShapeAsNumpy())

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from export.formats.tflite.dead_channels import raise_weights, revive_dead_channels
from tests.export.conftest import Convert


def test_a_dead_channel_gets_just_enough_weight_for_its_bias_to_fit() -> None:
    weight = np.array([[0.5, -0.25], [0.0, 0.0], [1e-12, 0.0]], np.float32)
    bias, step = np.array([3.0, 6.0, 0.0], np.float32), 0.05
    raise_weights(weight, bias, step)
    assert weight[0].tolist() == [0.5, -0.25]
    scale = weight[1].max() / 127
    assert 2**29 < bias[1] / (step * scale) < 2**31
    assert weight[1, 0] * step * 255 < 1e-4 * bias[1]
    assert weight[2].tolist() == [np.float32(1e-12), 0.0]


@pytest.mark.slow
def test_a_network_with_a_dead_channel_keeps_its_predictions(convert: Convert) -> None:
    model = bytearray((convert("tflite")[1] / "float32.tflite").read_bytes())
    root = schema.Model.GetRootAs(model, 0)
    graph = root.Subgraphs(0)
    codes = [root.OperatorCodes(graph.Operators(i).OpcodeIndex()).BuiltinCode() for i in range(graph.OperatorsLength())]
    convolution = graph.Operators(codes.index(schema.BuiltinOperator.CONV_2D))
    source, weight, _ = (graph.Tensors(convolution.Inputs(i)) for i in range(3))
    kernel = np.frombuffer(root.Buffers(weight.Buffer()).DataAsNumpy(), np.float32).reshape(weight.ShapeAsNumpy())
    kernel[0] = 0
    revived = revive_dead_channels(bytes(model), {source.Name().decode(): 0.02})
    assert len(revived) == len(model)
    changed = np.flatnonzero(np.frombuffer(revived, np.uint8) != np.frombuffer(bytes(model), np.uint8))
    assert 0 < len(changed) <= 4
    frame = np.full((1, 64, 48, 3), 90, np.uint8)
    np.testing.assert_allclose(predict(revived, frame), predict(bytes(model), frame), atol=1e-4)


def predict(model: bytes, frame: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], frame)
    interpreter.invoke()
    return np.array(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))

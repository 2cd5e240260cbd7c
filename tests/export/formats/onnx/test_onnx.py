"""What ONNX artifacts promise beyond the contract of all formats (tests/export/formats/test_formats.py)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from export.formats import open_format
from pipeline.errors import ModelError
from tests.export.bundle.small_bundle import brightness_model
from tests.export.conftest import Convert, artifact_of
from tests.export.tiny import draw_frames


def test_float16_computes_in_halves_and_returns_floats(convert: Convert) -> None:
    graph = onnx.load(artifact_of(convert, "onnx", "float16")).graph
    weights = {tensor.name: tensor.data_type for tensor in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert convolutions
    assert {weights[node.input[1]] for node in convolutions} == {onnx.TensorProto.FLOAT16}
    assert graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_an_ort_file_holds_the_same_network_without_a_layout_for_this_processor(convert: Convert) -> None:
    frame = draw_frames(1, 12)[0]
    for recipe in ("float32", "static_wi8_ai8"):
        plain, mobile = (artifact_of(convert, "onnx", name) for name in (recipe, f"{recipe}_ort"))
        content = mobile.read_bytes()
        assert content[4:8] == b"ORTM"
        assert b"ReorderInput" not in content  # of the layout for x86
        answers = [open_format("onnx").load(path)(frame) for path in (plain, mobile)]
        np.testing.assert_allclose(answers[0], answers[1], atol=2e-2)


def test_normalisation_and_softmax_stay_in_float(convert: Convert) -> None:
    graph = onnx.load(artifact_of(convert, "onnx", "static_wi8_ai8")).graph
    writer = {output: node.op_type for node in graph.node for output in node.output}
    first = next(index for index, node in enumerate(graph.node) if node.op_type == "QuantizeLinear" and index > 0)
    assert {"Cast", "Div", "Sub"} <= {node.op_type for node in graph.node[: first + 1]}
    for node in graph.node:
        if node.op_type in ("Div", "Sub", "Cast"):
            assert all(writer.get(name) != "DequantizeLinear" for name in node.input)
        if node.op_type == "Softmax":
            assert graph.output[0].name == node.output[0]
    assert any(tensor.data_type == onnx.TensorProto.INT8 for tensor in graph.initializer)


DAMAGE = {
    "key of the metadata": (b"threshold", b"\xff\xd6eshold"),
    "name of an input": (b"image", b"\xff\xd6age"),
    "number of axes": (b"Flatten", b"flatten"),
    "labels": (b'["no_helmet"', b"[[[[[[[[[[[["),
    "threshold": (b"0.5", b"0,5"),
}


@pytest.mark.parametrize(("old", "new"), DAMAGE.values(), ids=list(DAMAGE))
def test_whatever_onnx_runtime_raises_on_a_damaged_model_is_a_model_error(
    old: bytes, new: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "float32.onnx"
    content = brightness_model()
    assert content.count(old) >= 1
    path.write_bytes(content.replace(old, new))
    with pytest.raises(ModelError, match=r"float32\.onnx"):
        open_format("onnx").describe(path)


@pytest.mark.parametrize("recipe", ["float32", "static_wi8_ai8", "float32_ort"])
def test_onnx_runtime_reads_metadata_labels_and_a_static_shape(convert: Convert, recipe: str) -> None:
    session = onnxruntime.InferenceSession(artifact_of(convert, "onnx", recipe).read_bytes())
    about = session.get_modelmeta()
    assert about.custom_metadata_map["author"] == "Gossamer"
    assert about.custom_metadata_map["license"] == "Apache-2.0"
    assert about.custom_metadata_map["labels"] == '["no_helmet", "helmet"]'
    assert about.custom_metadata_map["description"].startswith("Does the rider wear a helmet? Decide ")
    if recipe != "float32_ort":  # ONNX Runtime does not report that of an .ort file
        assert about.description == about.custom_metadata_map["description"]
    assert all(isinstance(side, int) for side in session.get_inputs()[0].shape)

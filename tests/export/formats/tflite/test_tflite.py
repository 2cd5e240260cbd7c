"""What TFLite artifacts promise beyond the contract of all formats (tests/export/formats/test_formats.py)."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from tests.export.conftest import Convert, artifact_of
from tests.export.tiny import LABELS, RECIPES


def test_pixels_are_quantised_over_their_whole_range_and_hard_swish_and_softmax_stay_in_float(convert: Convert) -> None:
    model = schema.ModelT.InitFromPackedBuf(artifact_of(convert, "tflite", "static_wi8_ai8").read_bytes(), 0)
    tensors, operators = model.subgraphs[0].tensors, model.subgraphs[0].operators
    codes = [model.operatorCodes[operator.opcodeIndex].builtinCode for operator in operators]
    convolution = codes.index(schema.BuiltinOperator.CONV_2D)
    scaled = [tensors[operator.outputs[0]].quantization for operator in operators[:convolution]]
    scales = [
        float(quantization.scale[0]) for quantization in scaled if quantization and quantization.scale is not None
    ]
    assert any(np.isclose(scale, 1 / 255, rtol=1e-3) or np.isclose(scale, 1.0, rtol=1e-3) for scale in scales)
    assert schema.BuiltinOperator.HARD_SWISH in codes
    for operator, code in zip(operators, codes, strict=True):
        if code in (schema.BuiltinOperator.HARD_SWISH, schema.BuiltinOperator.SOFTMAX):
            assert tensors[operator.outputs[0]].type == schema.TensorType.FLOAT32


def test_labels_are_in_the_archive_where_android_looks_for_them(convert: Convert) -> None:
    with zipfile.ZipFile(artifact_of(convert, "tflite", "float32")) as archive:
        assert archive.read("labels.txt").decode().splitlines() == list(LABELS)


@pytest.mark.parametrize("recipe", RECIPES["tflite"])
def test_litert_reads_names_from_the_signature_and_shapes_are_static(convert: Convert, recipe: str) -> None:
    path = artifact_of(convert, "tflite", recipe)
    runner = Interpreter(model_path=str(path)).get_signature_runner("classify")
    (frame,) = runner.get_input_details().items()
    (answer,) = runner.get_output_details().items()
    assert (frame[0], tuple(frame[1]["shape_signature"]), frame[1]["dtype"]) == ("image", (1, 64, 48, 3), np.uint8)
    assert (answer[0], tuple(answer[1]["shape_signature"]), answer[1]["dtype"]) == ("probs", (1, 2), np.float32)
    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read("metadata.json"))["author"] == "Gossamer"

"""What each format's quantiser promises the search: ops have names, stay in float when told, and can be tried alone."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema

from export.formats import coreml, tflite
from export.formats import onnx as onnx_format
from export.formats.coreml import quantiser as coreml_int8
from export.formats.coreml.interpreter.program import Program
from export.formats.onnx import quantiser as onnx_int8
from export.formats.tflite import quantiser as tflite_int8
from export.parity import Judge
from export.quantisation.int8_search import Quantiser, Scheme
from export.toolkit_output import quiet_toolkits
from pipeline.train.model import PortableClassifier
from tests.export.tiny import draw_frames, job_of

FORMATS = ("coreml", "onnx", "tflite")
every_format = pytest.mark.parametrize("name", FORMATS)
pytestmark = pytest.mark.slow
Open = Any


@pytest.fixture(scope="module")
def judge(classifier: PortableClassifier) -> Judge:
    return job_of(classifier, draw_frames(1, 8)).judge


@pytest.fixture(scope="module")
def quantiser_of(classifier: PortableClassifier) -> Open:
    job = job_of(classifier, draw_frames(16, 8))

    @functools.cache
    def once(name: str) -> Quantiser[Any]:
        with quiet_toolkits():
            if name == "onnx":
                return onnx_int8.open_quantiser(onnx_format._convert(job, 18), job.calibration)
            if name == "tflite":
                return tflite_int8.open_quantiser(tflite._convert(job), job.calibration)
            plain = coreml._quantise_weights(coreml._convert(job, "iOS17"))
            return coreml_int8.open_quantiser(plain, job.calibration)

    return once


def first_convolution(quantiser: Quantiser[Any], name: str) -> str:
    if name == "coreml":
        return next(step.output for step in quantiser.steps if step.kind == "conv")
    return next(op for op in quantiser.ops if "conv" in op.lower())


def inputs_are_rounded(name: str, model: Any, op: str) -> bool:
    """Whether the op still works on 8-bit inputs."""
    if name == "onnx":
        nodes = onnx.load_from_string(model).graph.node
        written = {output: node.op_type for node in nodes for output in node.output}
        node = next(node for node in nodes if node.name == op)
        return written.get(node.input[1]) == "DequantizeLinear"
    if name == "tflite":
        graph = schema.ModelT.InitFromPackedBuf(model, 0)
        convolution = next(
            operator
            for operator in graph.subgraphs[0].operators
            if graph.operatorCodes[operator.opcodeIndex].builtinCode == schema.BuiltinOperator.CONV_2D
        )
        return bool(graph.subgraphs[0].tensors[convolution.inputs[1]].type == schema.TensorType.INT8)
    program: Program = coreml_int8.open_saved(model)
    kinds = {step.output: step.kind for step in program.steps}
    step = next(step for step in program.steps if step.output == op)
    return kinds[step.names["x"]] == "dequantize"


@every_format
def test_an_op_told_to_stay_in_float_does_so_and_the_others_do_not(quantiser_of: Open, name: str) -> None:
    quantiser = quantiser_of(name)
    op = first_convolution(quantiser, name)
    assert len(set(quantiser.ops)) == len(quantiser.ops) > 30
    with quiet_toolkits():
        whole, spared = quantiser.quantise(Scheme(99.0)), quantiser.quantise(Scheme(99.0, (op,)))
    assert inputs_are_rounded(name, whole, op)
    assert not inputs_are_rounded(name, spared, op)


@every_format
def test_one_op_alone_strays_less_than_all_together_and_more_than_none(
    quantiser_of: Open, judge: Judge, name: str
) -> None:
    quantiser = quantiser_of(name)
    with quiet_toolkits():
        alone = judge.hear(quantiser.isolate(first_convolution(quantiser, name), 99.0))
        together = judge.hear(quantiser.open(quantiser.quantise(Scheme(99.0))))
    assert 1e-4 < alone.log_odds_error < together.log_odds_error


@every_format
def test_quantising_twice_gives_the_same_answers(quantiser_of: Open, judge: Judge, name: str) -> None:
    quantiser = quantiser_of(name)
    op = first_convolution(quantiser, name)
    with quiet_toolkits():
        once, again = (quantiser.open(quantiser.quantise(Scheme(95.0, (op,)))) for _ in range(2))
    np.testing.assert_array_equal(once(judge.frames[0]), again(judge.frames[0]))


@every_format
def test_narrower_ranges_of_calibration_answer_otherwise(quantiser_of: Open, judge: Judge, name: str) -> None:
    quantiser = quantiser_of(name)
    with quiet_toolkits():
        narrow, wide = (quantiser.open(quantiser.quantise(Scheme(share))) for share in (60.0, 100.0))
    assert not np.array_equal(narrow(judge.frames[0]), wide(judge.frames[0]))

from __future__ import annotations

from typing import Any

import onnx
import pytest

from export.formats import ExportJob
from export.formats import onnx as onnx_format
from export.formats.onnx.quantiser import open_quantiser
from export.quantisation.int8_search import Quantiser
from tests.export.formats.quantiser_contract import QuantiserContract


@pytest.mark.slow
class TestOnnxQuantiser(QuantiserContract):
    @classmethod
    def open_quantiser(cls, job: ExportJob) -> Quantiser[Any]:
        return open_quantiser(onnx_format._convert(job, 18), job.calibration)

    def inputs_are_rounded(self, model: Any, op: str) -> bool:
        nodes = onnx.load_from_string(model).graph.node
        writers = {output: node.op_type for node in nodes for output in node.output}
        node = next(node for node in nodes if node.name == op)
        return writers.get(node.input[1]) == "DequantizeLinear"

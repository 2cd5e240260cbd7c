from __future__ import annotations

from typing import Any

import pytest
from ai_edge_litert import schema_py_generated as schema

from export.formats import ExportJob, tflite
from export.formats.tflite.quantiser import open_quantiser
from export.quantisation.int8_search import Quantiser
from tests.export.formats.quantiser_contract import QuantiserContract


@pytest.mark.slow
class TestTfliteQuantiser(QuantiserContract):
    @classmethod
    def open_quantiser(cls, job: ExportJob) -> Quantiser[Any]:
        return open_quantiser(tflite._convert(job), job.calibration)

    def inputs_are_rounded(self, model: Any, op: str) -> bool:
        packed = schema.ModelT.InitFromPackedBuf(model, 0)
        kind = getattr(schema.BuiltinOperator, op.split(maxsplit=1)[0])
        first = next(
            operator
            for operator in packed.subgraphs[0].operators
            if packed.operatorCodes[operator.opcodeIndex].builtinCode == kind
        )
        return bool(packed.subgraphs[0].tensors[first.inputs[1]].type == schema.TensorType.INT8)

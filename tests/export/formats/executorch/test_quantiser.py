from __future__ import annotations

from typing import Any

import pytest

from export.formats import ExportJob, executorch
from export.formats.executorch.quantiser import open_quantiser
from export.quantisation.int8_search import Quantiser
from tests.export.formats.quantiser_contract import QuantiserContract


@pytest.mark.slow
class TestExecutorchQuantiser(QuantiserContract):
    @classmethod
    def open_quantiser(cls, job: ExportJob) -> Quantiser[Any]:
        return open_quantiser(executorch._capture(job), job.calibration)

    def inputs_are_rounded(self, model: Any, op: str) -> bool:
        node = next(node for node in model.graph.nodes if node.name == op)
        return "dequantize" in str(node.args[0].target)

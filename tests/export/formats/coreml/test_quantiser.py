from __future__ import annotations

import importlib.metadata
import inspect
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.formats import ExportJob, coreml
from export.formats.coreml.interpreter.program import Program, Step
from export.formats.coreml.quantiser import (
    PATCHED_FUNCTION,
    PATCHED_VERSION,
    keep_rounding_of,
    open_quantiser,
    open_saved,
)
from export.quantisation.int8_search import Quantiser
from export.toolkit_output import quiet_toolkits
from tests.export.formats.quantiser_contract import QuantiserContract

MOVED = (
    "coremltools has changed: check that own_ranges in export/formats/coreml/quantiser.py still replaces the function "
    "that linear_quantize_activations takes its ranges from, then update PATCHED_VERSION and the pin in pyproject.toml"
)


@pytest.mark.slow
class TestCoremlQuantiser(QuantiserContract):
    @classmethod
    def open_quantiser(cls, job: ExportJob) -> Quantiser[Any]:
        return open_quantiser(coreml._quantise_weights(coreml._convert(job, "iOS17")), job.calibration)

    @classmethod
    def first_convolution(cls, quantiser: Quantiser[Any]) -> str:
        return next(step.output for step in quantiser.steps if step.kind == "conv")  # type: ignore[attr-defined]

    def inputs_are_rounded(self, model: Any, op: str) -> bool:
        program = open_saved(model)
        kinds = {step.output: step.kind for step in program.steps}
        step = next(step for step in program.steps if step.output == op)
        return kinds[step.names["x"]] == "dequantize"


def test_an_integer_op_between_quantize_and_dequantize_keeps_its_rounding() -> None:
    def step(kind: str, output: str, arguments: dict[str, Any] | None = None, **names: str) -> Step:
        return Step(kind, arguments or {}, names, output, half=False)

    rounding = {"scale": np.float32(0.1)}
    steps = (
        step("relu", "a", x="image"),
        step("quantize", "b", rounding, input="a"),
        step("dequantize", "c", rounding, input="b"),
        step("conv", "d", x="c"),
        step("quantize", "e", rounding, input="d"),
        step("reshape", "f", x="e"),
        step("dequantize", "g", rounding, input="f"),
        step("linear", "h", x="g"),
    )
    program = Program("image", 1, 1, "out", ("no", "yes"), steps, "h")
    kept = keep_rounding_of(program, "h")
    assert [each.output for each in kept.steps] == ["a", "b", "d", "e", "f", "g", "h"]
    assert kept.steps[2].names == {"x": "a"}, "the rounding before the convolution is gone"


def test_coremltools_is_pinned_to_the_version_whose_private_function_is_replaced(root: Path) -> None:
    assert importlib.metadata.version("coremltools") == PATCHED_VERSION, MOVED
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = [line for line in project["optional-dependencies"]["stages"] if line.startswith("coremltools")]
    assert pins == [f"coremltools=={PATCHED_VERSION}"], MOVED


def test_the_replaced_function_of_coremltools_is_where_it_was_and_still_called() -> None:
    with quiet_toolkits():
        from coremltools.optimize.coreml import _post_training_quantization as quantisation
    replaced = getattr(quantisation, PATCHED_FUNCTION, None)
    assert replaced is not None, MOVED
    assert list(inspect.signature(replaced).parameters) == ["fpmodel", "sample_data", "calibration_op_group_size"], (
        MOVED
    )
    assert f"{PATCHED_FUNCTION}(" in inspect.getsource(quantisation.linear_quantize_activations), MOVED

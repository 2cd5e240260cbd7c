"""Builds MIL programs of a few ops with coremltools, and runs them in the executor as they are read from a package."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from export.formats.coreml.interpreter.program import Mode, read_spec, read_steps, run_steps
from export.toolkit_output import quiet_toolkits

Build = Callable[..., Any]
"""(builder of coremltools, its inputs) -> one output or several."""
HALF = torch.float16
"""Inputs of this type are declared as halves."""


def run_mil(build: Build, *inputs: torch.Tensor, mode: Mode = "declared", target: str = "iOS16") -> list[torch.Tensor]:
    """Build, save, read and run a program; returns its outputs, float32."""
    # Collecting garbage takes a second per program, and there is none.
    with patch("gc.collect"), quiet_toolkits(), warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # coremltools deprecates its own calls
        import coremltools
        from coremltools.converters.mil import Builder

        opset = getattr(coremltools.target, target)
        specs = [Builder.TensorSpec(tuple(each.shape), _mil_type(each)) for each in inputs]
        # coremltools names inputs after the function's parameters.
        names = ", ".join(f"x{index}" for index in range(len(inputs)))
        function = eval(f"lambda {names}: build(mb, {names})", {"build": build, "mb": Builder})  # noqa: S307
        program = Builder.program(input_specs=specs, opset_version=opset)(function)
        names_out = [output.name for output in program.functions["main"].outputs]
        model = coremltools.convert(
            program,
            convert_to="mlprogram",
            skip_model_load=True,
            minimum_deployment_target=opset,
            compute_precision=coremltools.precision.FLOAT32,
            pass_pipeline=coremltools.PassPipeline.EMPTY,
        )
        package = Path(folder) / "model.mlpackage"
        model.save(str(package))
        main = read_spec(package).mlProgram.functions["main"]
        steps, constants, _ = read_steps(main.block_specializations[main.opset].operations, package)
    values = {f"x{index}": each.float() for index, each in enumerate(inputs)}
    found = {step.output: value for step, value in run_steps(steps, values, mode)}
    return [found[name] if name in found else torch.from_numpy(np.asarray(constants[name])) for name in names_out]


def _mil_type(tensor: torch.Tensor) -> Any:
    from coremltools.converters.mil.mil import types

    return {torch.float32: types.fp32, HALF: types.fp16, torch.int32: types.int32}[tensor.dtype]


def check(build: Build, expected: Callable[..., Any], *inputs: torch.Tensor, target: str = "iOS16") -> None:
    """Compare a program's outputs with torch's: equal shapes, and values within the order of additions."""
    outputs = run_mil(build, *inputs, target=target)
    wanted = expected(*inputs)
    wanted = list(wanted) if isinstance(wanted, list | tuple) else [wanted]
    assert len(outputs) == len(wanted)
    for output, value in zip(outputs, wanted, strict=True):
        torch.testing.assert_close(output, value.float(), atol=2e-6, rtol=2e-5)

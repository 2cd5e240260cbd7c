"""Reads an .mlpackage and runs its classifier: one RGB frame in, probabilities out.

Reads Data/com.apple.CoreML/model.mlmodel (protobuf) and weights/weight.bin; writes nothing. Two modes: "declared"
rounds every result to the type that the program declares, as hardware does that computes each op exactly and stores
halves; "float32" never rounds, which isolates the error of the weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from export.formats.coreml.interpreter.constants import FLOAT16, read_value
from export.formats.coreml.interpreter.operations import OPERATIONS
from export.formats.coreml.interpreter.operations.arguments import OUTPUT_INDEX, member_name, tensor_of
from export.toolkit_output import quiet_toolkits
from pipeline.data.preprocess import Pixels
from pipeline.errors import ModelError, UnmeasurableError

Mode = Literal["declared", "float32"]
DATA = Path("Data/com.apple.CoreML")


@dataclass(frozen=True, slots=True)
class Step:
    """One output of an op of a program; an op with several outputs makes as many steps.

    Attributes:
        kind: Name of the MIL op, e.g. "conv".
        arguments: Constant arguments by parameter name.
        names: Other arguments: parameter name -> the output of an earlier step. A parameter that takes several values
            has one entry per value.
        output: Name of the output.
        half: Whether the output is declared as float16.
    """

    kind: str
    arguments: Mapping[str, Any]
    names: Mapping[str, str]
    output: str
    half: bool


@dataclass(frozen=True, slots=True)
class Program:
    """A classifier's main function, its constants loaded and its compressed weights unpacked.

    Attributes:
        input_name: Name of the image input.
        height: Height of the image, pixels.
        width: Width of the image, pixels.
        output_name: Name of the dictionary of probabilities.
        labels: Labels in the order of the probabilities.
        steps: Ops in execution order.
        probabilities: Name of the value that the ``classify`` op ranks.
    """

    input_name: str
    height: int
    width: int
    output_name: str
    labels: tuple[str, ...]
    steps: tuple[Step, ...]
    probabilities: str

    def check_ops(self) -> None:
        """Check that every op is implemented here.

        Raises:
            UnmeasurableError: One or more are not; the message names them.
        """
        unknown = sorted({step.kind for step in self.steps} - set(OPERATIONS))
        if unknown:
            raise UnmeasurableError(
                f"the MIL executor lacks the op{'s'[: len(unknown) > 1]} {', '.join(unknown)}: measure on a Mac, where "
                "Core ML runs the package"
            )

    def run(self, frame: Pixels, mode: Mode = "declared") -> NDArray[np.float32]:
        """Classify one frame: uint8 (height, width, 3) RGB in 0..255 -> float32 (labels,).

        Raises:
            UnmeasurableError: As ``check_ops``; or an op in a mode that is not implemented here.
        """
        values = {step.output: value for step, value in self.trace(frame, mode)}
        return np.asarray(values[self.probabilities].reshape(-1).numpy(), np.float32)

    def trace(self, frame: Pixels, mode: Mode = "declared") -> Iterator[tuple[Step, torch.Tensor]]:
        """Yield each op with its output, in execution order, for one frame: uint8 (height, width, 3) RGB in 0..255.

        Raises:
            UnmeasurableError: As ``run``.
        """
        self.check_ops()
        pixels = torch.from_numpy(np.ascontiguousarray(frame.transpose(2, 0, 1)[None], np.float32))
        yield from run_steps(self.steps, {self.input_name: pixels}, mode)


def open_package(path: Path) -> Program:
    """Read a package; ops that are not implemented here are read as well, and refused when the program is run.

    Raises:
        ModelError: It is missing or damaged, or is no image classifier.
    """
    spec = read_spec(path)
    description = spec.description
    if spec.WhichOneof("Type") != "mlProgram" or not description.input[0].type.HasField("imageType"):
        raise ModelError(f"{path}: {spec.WhichOneof('Type')}; expected an ML program that takes an image")
    image = description.input[0]
    function = spec.mlProgram.functions["main"]
    steps, constants, classifier = read_steps(function.block_specializations[function.opset].operations, path)
    if classifier is None:
        raise ModelError(f"{path}: no classify op; expected a classifier")
    classes = classifier.inputs["classes"].arguments[0]
    labels = constants[classes.name] if classes.name else read_value(classes.value, _weights(path))
    return Program(
        input_name=image.name,
        height=int(image.type.imageType.height),
        width=int(image.type.imageType.width),
        output_name=description.predictedProbabilitiesName,
        labels=tuple(labels),
        steps=steps,
        probabilities=classifier.inputs["probabilities"].arguments[0].name,
    )


def read_spec(path: Path) -> Any:  # noqa: ANN401 - protobuf
    """Parse the package's model description.

    Raises:
        ModelError: It is missing or cut short.
    """
    model = path / DATA / "model.mlmodel"
    if not model.is_file():
        raise ModelError(f"{model}: missing; expected a Core ML package; run dvc repro convert@coreml")
    with quiet_toolkits():
        from coremltools.proto import Model_pb2
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    spec = Model_pb2.Model()
    try:
        spec.ParseFromString(model.read_bytes())
    except DecodeError as error:
        raise ModelError(f"{model}: cut short or no Core ML model: {error}; run dvc repro convert@coreml") from error
    return spec


def run_steps(
    steps: Sequence[Step], inputs: Mapping[str, torch.Tensor], mode: Mode
) -> Iterator[tuple[Step, torch.Tensor]]:
    """Yield each step with its output, in execution order, given the function's inputs by name.

    Raises:
        UnmeasurableError: An op in a mode that is not implemented here.
    """
    values = dict(inputs)
    for step in steps:
        arguments = {**step.arguments, **{key: values[name] for key, name in step.names.items()}}
        with torch.inference_mode():
            value = OPERATIONS[step.kind](arguments)
            values[step.output] = value.half().float() if step.half and mode == "declared" else value
        yield step, values[step.output]


def read_steps(operations: Any, path: Path) -> tuple[tuple[Step, ...], dict[str, Any], Any]:  # noqa: ANN401
    """Split a function's ops into steps to run, constants by name, and the classify op; None if there is none."""
    constants: dict[str, Any] = {}
    steps: list[Step] = []
    classifier = None
    for operation in operations:
        if operation.type == "const":
            constants[operation.outputs[0].name] = read_value(operation.attributes["val"], _weights(path))
        elif operation.type == "classify":
            classifier = operation
        else:
            read = _read_op(operation, constants, path)
            if read[0].kind.startswith("constexpr_") and read[0].kind in OPERATIONS:
                constants[read[0].output] = _round(OPERATIONS[read[0].kind](read[0].arguments), read[0].half).numpy()
            else:
                steps += read
    return tuple(steps), constants, classifier


def _read_op(operation: Any, constants: Mapping[str, Any], path: Path) -> list[Step]:  # noqa: ANN401 - protobuf
    """Read an op as one step per output."""
    arguments: dict[str, Any] = {
        name: read_value(value, _weights(path)) for name, value in operation.attributes.items() if name != "name"
    }
    names: dict[str, str] = {}
    for parameter, argument in operation.inputs.items():
        several = len(argument.arguments) > 1
        for index, binding in enumerate(argument.arguments):
            key = member_name(parameter, index) if several else parameter
            if not binding.name:
                arguments[key] = read_value(binding.value, _weights(path))
            elif binding.name in constants:
                arguments[key] = constants[binding.name]
            else:
                names[key] = binding.name
    # Halves are widened once here, instead of for every frame.
    arguments = {key: _widen(value) for key, value in arguments.items()}
    outputs = list(enumerate(operation.outputs))
    return [
        Step(
            operation.type,
            {**arguments, OUTPUT_INDEX: index} if len(outputs) > 1 else arguments,
            names,
            output.name,
            output.type.tensorType.dataType == FLOAT16,
        )
        for index, output in outputs
    ]


def _round(value: torch.Tensor, half: bool) -> torch.Tensor:
    return tensor_of(value).half().float() if half else value


def _widen(value: Any) -> Any:  # noqa: ANN401 - array, text or list
    """Widen halves; copy what torch would warn about, as it cannot be written to."""
    floats = isinstance(value, np.ndarray) and value.dtype in (np.float16, np.float32)
    return np.require(value, np.float32, "W") if floats else value


def _weights(path: Path) -> Path:
    return path / DATA / "weights" / "weight.bin"

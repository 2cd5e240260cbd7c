"""coremltools' activation quantiser, calibrated without a Mac: ranges come from our own executor of the program.

Activations take a scale and a zero point (mode ``linear``): after a ReLU the symmetric mode would leave half of the
levels unused. Weights are 8-bit already in the program that comes in. Needs Core ML of iOS 17.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.formats.coreml.interpreter.program import Program, Step, open_package
from export.parity import Predict, Trace
from export.quantisation.calibration import Ranges, take_ranges
from export.quantisation.int8_search import Scheme
from pipeline.data.preprocess import Pixels

_KINDS = ("conv", "linear")


# Compared by identity, so that what was made of one can be kept.
@dataclass(frozen=True, slots=True, eq=False)
class CoremlQuantiser:
    """Quantises the activations of one program.

    Attributes:
        model: coremltools' model, its weights 8-bit.
        steps: Of its program.
        ranges: Of what they give.
    """

    model: Any
    steps: tuple[Step, ...]
    ranges: Ranges

    @property
    def ops(self) -> Sequence[str]:
        """Convolutions and linear layers. Sums always round: coremltools folds the scales of their inputs into one."""
        return [step.output for step in self.steps if step.kind in _KINDS]

    def quantise(self, scheme: Scheme) -> Any:  # noqa: ANN401 - coremltools has no types
        """Round the inputs of all ops that can be, but some."""
        from coremltools.optimize import coreml

        each = coreml.OpLinearQuantizerConfig(mode="linear", dtype="int8")
        config = coreml.OptimizationConfig(global_config=each, op_name_configs=dict.fromkeys(scheme.float_ops))
        with own_ranges(self._ranges(scheme.percentile)):
            return coreml.linear_quantize_activations(self.model, config, [{}])

    def isolate(self, op: str, percentile: float) -> Predict:
        """Run a program in which the inputs of ``op`` alone are rounded."""
        return keep_rounding_of(_quantise_all(self, percentile), op).run

    def open(self, model: Any) -> Predict:  # noqa: ANN401 - coremltools has no types
        """Run a quantised model in our executor."""
        return open_saved(model).run

    def _ranges(self, percentile: float) -> dict[str, dict[str, float]]:
        ranges = self.ranges.merge(percentile)
        return {name: {"rmin": low, "rmax": high} for name, (low, high) in ranges.items()}


def open_quantiser(model: Any, calibration: NDArray[np.uint8]) -> CoremlQuantiser:  # noqa: ANN401
    """Run calibration frames, uint8 (n, height, width, 3) RGB, through a program with 8-bit weights."""
    program = open_saved(model)
    return CoremlQuantiser(model, program.steps, take_ranges(open_trace(program), calibration))


def open_trace(program: Program) -> Trace:
    """Run a program and show what every op gives, rounded as declared; but not a sum that has a scale of its own."""
    scaled = {step.output for step in program.steps if _is_scaled(program.steps, step)}
    hidden = {step.output for step in program.steps if step.kind == "quantize" or scaled & set(step.names.values())}

    def trace(frame: Pixels) -> Iterator[tuple[str, NDArray[np.float32]]]:
        for step, value in program.trace(frame):
            if step.output not in scaled | hidden:
                yield step.output, value.numpy()

    return trace


def _is_scaled(steps: Sequence[Step], step: Step) -> bool:
    """Whether a dequantize op gives something else than its quantize op took."""
    return step.kind == "dequantize" and _quantize_of(steps, step) is None


def open_saved(model: Any) -> Program:  # noqa: ANN401 - coremltools has no types
    """Read a model of coremltools' as a phone would: from a package."""
    with tempfile.TemporaryDirectory() as scratch:
        package = Path(scratch) / "model.mlpackage"
        model.save(str(package))
        return open_package(package)


@lru_cache(maxsize=1)
def _quantise_all(quantiser: CoremlQuantiser, percentile: float) -> Program:
    """Give the program in which nothing stays in float; kept, because every op's harm is measured in it."""
    return open_saved(quantiser.quantise(Scheme(percentile)))


def keep_rounding_of(program: Program, op: str) -> Program:
    """Pass activations through as they are, but for those that ``op`` takes, and those of sums."""
    kept = set(next(step for step in program.steps if step.output == op).names.values())
    sources: dict[str, str] = {}
    steps: list[Step] = []
    for step in program.steps:
        whole = replace(step, names={key: sources.get(name, name) for key, name in step.names.items()})
        pair = _quantize_of(steps, whole)
        if pair and step.output not in kept:
            sources[step.output] = pair.names["input"]
        else:
            steps.append(whole)
    return replace(program, steps=tuple(steps))


def _quantize_of(steps: Sequence[Step], step: Step) -> Step | None:
    """Give the quantize op that a dequantize op undoes; one that scales anew, as for a sum, undoes none."""
    if step.kind != "dequantize":
        return None
    quantize = next(each for each in steps if each.output == step.names["input"])
    same = np.array_equal(quantize.arguments["scale"], step.arguments["scale"])
    return quantize if same else None


@contextmanager
def own_ranges(ranges: Mapping[str, Mapping[str, float]]) -> Iterator[None]:
    """Let coremltools take these ranges; its own way to them asks for a Mac."""
    from coremltools.optimize.coreml import _post_training_quantization as quantisation

    theirs = quantisation._get_activation_calibration_stats  # noqa: SLF001 - there is no public way
    quantisation._get_activation_calibration_stats = lambda *_: ranges  # noqa: SLF001
    try:
        yield
    finally:
        quantisation._get_activation_calibration_stats = theirs  # noqa: SLF001

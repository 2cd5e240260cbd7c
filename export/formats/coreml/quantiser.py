"""Static quantisation by coremltools, calibrated on any machine: the executor of ``interpreter/`` gives the ranges.

Activations have a scale and a zero point (mode ``linear``): after a ReLU the symmetric mode would leave half of the
levels unused. The programs that come in have 8-bit weights already. The result needs Core ML of iOS 17.

coremltools asks Core ML for the ranges, which exists on a Mac only and keeps the last sample's range. ``own_ranges``
replaces the private function that does so, in the one version of coremltools that pyproject.toml pins
(``PATCHED_VERSION``). When coremltools moves, tests/export/formats/coreml/test_quantiser.py fails and says what to do.
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
from export.parity import PredictFrames, Trace, one_by_one
from export.quantisation.calibration import Range, Ranges, take_ranges
from export.quantisation.int8_search import Scheme
from pipeline.data.preprocess import Pixels

PATCHED_VERSION = "9.0"
"""Version of coremltools that ``own_ranges`` was written for."""
PATCHED_FUNCTION = "_get_activation_calibration_stats"
"""Private function of coremltools.optimize.coreml._post_training_quantization: (model, samples, group size) ->
{value: {"rmin", "rmax"}}."""
_KINDS = ("conv", "linear")


# Compared by identity, so that the program that ``isolate`` starts from can be cached.
@dataclass(frozen=True, slots=True, eq=False)
class CoremlQuantiser:
    """Static quantiser of one program's activations (``export.quantisation.int8_search.Quantiser``).

    Attributes:
        model: Model of coremltools with 8-bit weights.
        steps: Steps of its program.
        ranges: Ranges of their outputs on the calibration frames.
    """

    model: Any
    steps: tuple[Step, ...]
    ranges: Ranges

    @property
    def ops(self) -> Sequence[str]:
        """Names of convolutions and linear layers; sums always round, as coremltools merges their inputs' scales."""
        return [step.output for step in self.steps if step.kind in _KINDS]

    def quantise(self, scheme: Scheme) -> Any:  # noqa: ANN401 - coremltools has no types
        """Round the inputs of all ops except ``scheme.float_ops``."""
        from coremltools.optimize import coreml

        linear = coreml.OpLinearQuantizerConfig(mode="linear", dtype="int8")
        config = coreml.OptimizationConfig(global_config=linear, op_name_configs=dict.fromkeys(scheme.float_ops))
        with own_ranges(self._ranges(scheme.percentile)):
            return coreml.linear_quantize_activations(self.model, config, [{}])

    def isolate(self, op: str, percentile: float) -> PredictFrames:
        """Open a program in which only the inputs of ``op``, and those of sums, are rounded."""
        return one_by_one(keep_rounding_of(_quantise_all(self, percentile), op).run)

    def open(self, model: Any) -> PredictFrames:  # noqa: ANN401 - coremltools has no types
        """Open a quantised model in the executor."""
        return one_by_one(open_saved(model).run)

    def _ranges(self, percentile: float) -> dict[str, dict[str, float]]:
        return as_statistics(self.ranges.merge(percentile))


def open_quantiser(model: Any, calibration: NDArray[np.uint8]) -> CoremlQuantiser:  # noqa: ANN401
    """Calibrate a program with 8-bit weights on frames, uint8 (n, height, width, 3) RGB."""
    program = open_saved(model)
    return CoremlQuantiser(model, program.steps, take_ranges(open_trace(program), calibration))


def quantise_by_default(model: Any, calibration: NDArray[np.uint8], *, activations: bool) -> Any:  # noqa: ANN401
    """Quantise with coremltools' defaults: linear, symmetric, minimum and maximum as ranges.

    Args:
        model: Model of coremltools, in float16.
        calibration: Frames, uint8 (n, height, width, 3) RGB; the executor runs them, as Core ML needs a Mac.
        activations: Whether to quantise activations as well as weights.
    """
    from coremltools.optimize import coreml

    config = coreml.OptimizationConfig(global_config=coreml.OpLinearQuantizerConfig())
    if activations:
        extremes = take_ranges(open_trace(open_saved(model)), calibration).merge(100)
        with own_ranges(as_statistics(extremes)):
            model = coreml.linear_quantize_activations(model, config, [{}])
    return coreml.linear_quantize_weights(model, config)


def open_trace(program: Program) -> Trace:
    """Open a program so that it yields the output of every op, as declared, except sums with a scale of their own."""
    scaled = {step.output for step in program.steps if _is_scaled(program.steps, step)}
    hidden = {step.output for step in program.steps if step.kind == "quantize" or scaled & set(step.names.values())}

    def trace(frame: Pixels) -> Iterator[tuple[str, NDArray[np.float32]]]:
        for step, value in program.trace(frame):
            if step.output not in scaled | hidden:
                yield step.output, value.numpy()

    return trace


def _is_scaled(steps: Sequence[Step], step: Step) -> bool:
    """Whether a dequantize op has another scale than its quantize op and so does not invert it."""
    return step.kind == "dequantize" and _quantize_of(steps, step) is None


def open_saved(model: Any) -> Program:  # noqa: ANN401 - coremltools has no types
    """Save a model of coremltools as a package and read it as a phone would."""
    with tempfile.TemporaryDirectory() as scratch:
        package = Path(scratch) / "model.mlpackage"
        model.save(str(package))
        return open_package(package)


@lru_cache(maxsize=1)
def _quantise_all(quantiser: CoremlQuantiser, percentile: float) -> Program:
    """Quantise all ops; cached, because the sensitivity of every op is measured in this program."""
    return open_saved(quantiser.quantise(Scheme(percentile)))


def keep_rounding_of(program: Program, op: str) -> Program:
    """Remove the rounding of all activations except the inputs of ``op`` and those of sums."""
    rounded = set(next(step for step in program.steps if step.output == op).names.values())
    sources: dict[str, str] = {}
    steps: list[Step] = []
    for step in program.steps:
        whole = replace(step, names={key: sources.get(name, name) for key, name in step.names.items()})
        pair = _quantize_of(steps, whole)
        if pair and step.output not in rounded:
            sources[step.output] = pair.names["input"]
        else:
            steps.append(whole)
    return replace(program, steps=tuple(steps))


def _quantize_of(steps: Sequence[Step], step: Step) -> Step | None:
    """Find the quantize op that a dequantize op inverts; None if its scale differs, as for sums.

    Also None if an op such as a reshape, which coremltools runs on the integers, lies between the two.
    """
    if step.kind != "dequantize":
        return None
    quantize = next(other for other in steps if other.output == step.names["input"])
    if quantize.kind != "quantize":
        return None
    same = np.array_equal(quantize.arguments["scale"], step.arguments["scale"])
    return quantize if same else None


@contextmanager
def own_ranges(ranges: Mapping[str, Mapping[str, float]]) -> Iterator[None]:
    """Make coremltools use these ranges instead of measuring its own; it has no public way to pass them."""
    from coremltools.optimize.coreml import _post_training_quantization as quantisation

    original = getattr(quantisation, PATCHED_FUNCTION)
    setattr(quantisation, PATCHED_FUNCTION, lambda *_: ranges)
    try:
        yield
    finally:
        setattr(quantisation, PATCHED_FUNCTION, original)


def as_statistics(ranges: Mapping[str, Range]) -> dict[str, dict[str, float]]:
    """Convert ranges to the form that coremltools' statistics have."""
    return {name: {"rmin": low, "rmax": high} for name, (low, high) in ranges.items()}

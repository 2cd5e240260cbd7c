"""Searches for an 8-bit quantisation whose predictions are near enough to the checkpoint's, and takes the first.

Candidates are tried from the cheapest to the most costly one; each predicts the same validation frames:

1. all ops in 8 bits; the range of every activation covers ``percentiles`` per cent of the calibration frames;
2. the best of these ranges, with the most sensitive op left in float; then the two most sensitive ones, four, eight ...

The sensitivity of an op is measured as the error in log-odds of a model in which only this op has 8 bits
(https://arxiv.org/abs/2004.09602, section 5.2). If no candidate is near enough, the nearest one is taken.

Reads and writes nothing. Each format provides a ``Quantiser``; docs/decisions/009 says why it is done this way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from export.parity import Parity, PredictFrames, ReferencePredictions
from export.toolkit_output import quiet_toolkits
from pipeline.config.params import Int8Params
from pipeline.data.records import Quantisation, QuantisationTrial

Model = TypeVar("Model")


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way to quantise a network.

    Attributes:
        percentile: In (50, 100]: percentage of the calibration frames within the range of each activation.
        float_ops: Names of the ops that stay in float.
    """

    percentile: float
    float_ops: tuple[str, ...] = ()


class Quantiser(Protocol[Model]):
    """One format's static quantiser: a float model with the ranges of its activations."""

    @property
    def ops(self) -> Sequence[str]:
        """Names of the ops that can be left in float, in execution order."""

    def quantise(self, scheme: Scheme) -> Model:
        """Quantise all ops except ``scheme.float_ops``; deterministic."""

    def isolate(self, op: str, percentile: float) -> PredictFrames:
        """Open a model in which only ``op`` has 8 bits."""

    def open(self, model: Model) -> PredictFrames:
        """Open a quantised model."""


@dataclass(frozen=True, slots=True)
class _Trial(Generic[Model]):
    """A quantised model and its parity with the checkpoint."""

    model: Model
    scheme: Scheme
    parity: Parity


def search(
    open_quantiser: Callable[[], Quantiser[Model]],
    reference: ReferencePredictions,
    params: Int8Params,
    report: Callable[[str], None],
) -> tuple[Model, Quantisation]:
    """Find the first quantised model that is near enough to the checkpoint, or the nearest one.

    Args:
        open_quantiser: Calibrates and returns the format's quantiser.
        reference: Predictions to come near to, on frames that were not calibrated on.
        params: Limits of the error, and the candidates.
        report: Called with a line of progress at each step.

    Returns:
        The model, and the record of trials, choice and sensitivities that goes into artifact.json.
    """
    report("calibrating activation ranges")
    with quiet_toolkits():
        quantiser = open_quantiser()
    trials: list[_Trial[Model]] = []
    sensitivity: dict[str, float] = {}

    def try_scheme(scheme: Scheme) -> bool:
        in_float = f", {len(scheme.float_ops)} ops in float" if scheme.float_ops else ""
        report(f"ranges of {scheme.percentile:g} % of frames{in_float}")
        with quiet_toolkits():
            model = quantiser.quantise(scheme)
            parity = reference.parity_of(quantiser.open(model))
        trials.append(_Trial(model, scheme, parity))
        return near_enough(parity, params)

    if not any(try_scheme(Scheme(percentile)) for percentile in params.percentiles) and params.max_float_ops:
        percentile = _nearest(trials).scheme.percentile
        report(f"measuring the sensitivity of {len(quantiser.ops)} ops")
        sensitivity |= _sensitivity(quantiser, reference, percentile, params.sensitivity_images)
        worst = sorted(sensitivity, key=lambda op: -sensitivity[op])
        counts = _counts(len(worst), params.max_float_ops)
        any(try_scheme(Scheme(percentile, tuple(worst[:count]))) for count in counts)
    best = trials[-1] if near_enough(trials[-1].parity, params) else _nearest(trials)
    return best.model, _record(best, trials, sensitivity)


def near_enough(parity: Parity, params: Int8Params) -> bool:
    """Whether both log-odds and decisions are within the limits of ``convert.int8``."""
    return parity.log_odds_error <= params.max_log_odds_error and parity.agreement >= params.min_agreement


def _sensitivity(
    quantiser: Quantiser[Model], reference: ReferencePredictions, percentile: float, count: int
) -> dict[str, float]:
    """Error in log-odds on the first ``count`` frames with only this op in 8 bits, for each op."""
    with quiet_toolkits():
        parities = {op: reference.parity_of(quantiser.isolate(op, percentile), count) for op in quantiser.ops}
    return {op: round(parity.log_odds_error, 6) for op, parity in parities.items()}


def _counts(ops: int, most: int) -> Iterator[int]:
    """Numbers of ops to leave in float: 1, 2, 4, 8 ... up to ``most``."""
    count = 1
    while count <= min(ops, most):
        yield count
        count *= 2


def _nearest(trials: Sequence[_Trial[Model]]) -> _Trial[Model]:
    return min(trials, key=lambda trial: trial.parity.log_odds_error)


def _record(best: _Trial[Model], trials: Sequence[_Trial[Model]], sensitivity: dict[str, float]) -> Quantisation:
    return Quantisation(
        percentile=best.scheme.percentile,
        float_ops=best.scheme.float_ops,
        trials=tuple(
            QuantisationTrial(
                percentile=trial.scheme.percentile,
                float_ops=len(trial.scheme.float_ops),
                agreement=trial.parity.agreement,
                log_odds_error=round(trial.parity.log_odds_error, 6),
            )
            for trial in trials
        ),
        sensitivity=dict(sorted(sensitivity.items(), key=lambda item: -item[1])),
    )

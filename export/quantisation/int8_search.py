"""Searches an 8-bit quantisation that answers as the network does; the first that is near enough is taken.

Ways to quantise are tried from the cheap to the dear, and each answers the same validation frames:

1. the range of every activation, by the share of calibration frames that lie within it whole;
2. the best of these ranges with ops left in float: the one that does most harm, then two of them, four, eight ...

How much harm an op does is measured, too: how far the answers stray where only this op has 8 bits (the sensitivity
analysis of https://arxiv.org/abs/2004.09602, section 5.2). Where nothing is near enough, the nearest is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from export.parity import Judge, Parity, Predict
from export.toolkit_output import quiet_toolkits
from pipeline.config.params import Int8Params
from pipeline.data.records import Quantisation, QuantisationTrial

Model = TypeVar("Model")


@dataclass(frozen=True, slots=True)
class Scheme:
    """What a quantiser is told.

    Attributes:
        percentile: In (50, 100]; the share of calibration frames within each activation's range.
        float_ops: Names of ops that keep 32 bits.
    """

    percentile: float
    float_ops: tuple[str, ...] = ()


class Quantiser(Protocol[Model]):
    """One format's way to 8 bits; holds the float model and what calibration frames gave."""

    @property
    def ops(self) -> Sequence[str]:
        """Names of the ops that can be left in float, in execution order."""

    def quantise(self, scheme: Scheme) -> Model:
        """Quantise all but some ops; deterministic."""

    def isolate(self, op: str, percentile: float) -> Predict:
        """Open a model in which ``op`` alone has 8 bits."""

    def open(self, model: Model) -> Predict:
        """Run a quantised model."""


@dataclass(frozen=True, slots=True)
class _Trial:
    model: object
    scheme: Scheme
    parity: Parity


def search(
    prepare: Callable[[], Quantiser[Model]], judge: Judge, params: Int8Params, tell: Callable[[str], None]
) -> tuple[Model, Quantisation]:
    """Find the first way to quantise that is near enough, or the nearest of all.

    Args:
        prepare: Makes the format's quantiser, with ranges of calibration frames.
        judge: Frames that no range was taken from, and what is to be answered.
        params: How near is near enough, and what is tried.
        tell: Is told what is being done.

    Returns:
        The model, and a record of what was tried, chosen and found to do harm.
    """
    tell("taking the ranges of activations")
    with quiet_toolkits():
        quantiser = prepare()
    trials: list[_Trial] = []
    harm: dict[str, float] = {}

    def attempt(scheme: Scheme) -> bool:
        left = f", {len(scheme.float_ops)} ops in float" if scheme.float_ops else ""
        tell(f"ranges of {scheme.percentile:g} % of frames{left}")
        with quiet_toolkits():
            model = quantiser.quantise(scheme)
            parity = judge.hear(quantiser.open(model))
        trials.append(_Trial(model, scheme, parity))
        return near_enough(parity, params)

    if not any(attempt(Scheme(percentile)) for percentile in params.percentiles) and params.max_float_ops:
        percentile = _nearest(trials).scheme.percentile
        tell(f"which of {len(quantiser.ops)} ops does harm")
        harm |= _sensitivity(quantiser, judge, percentile, params.sensitivity_images)
        worst = sorted(harm, key=lambda op: -harm[op])
        any(attempt(Scheme(percentile, tuple(worst[:count]))) for count in _counts(len(worst), params.max_float_ops))
    best = trials[-1] if near_enough(trials[-1].parity, params) else _nearest(trials)
    return best.model, _record(best, trials, harm)  # type: ignore[return-value]


def near_enough(parity: Parity, params: Int8Params) -> bool:
    """Whether answers and decisions stray no further than params allow."""
    return parity.log_odds_error <= params.max_log_odds_error and parity.agreement >= params.min_agreement


def _sensitivity(quantiser: Quantiser[Model], judge: Judge, percentile: float, count: int) -> dict[str, float]:
    with quiet_toolkits():
        found = {op: judge.hear(quantiser.isolate(op, percentile), count).log_odds_error for op in quantiser.ops}
    return {op: round(error, 6) for op, error in found.items()}


def _counts(ops: int, most: int) -> Iterator[int]:
    count = 1
    while count <= min(ops, most):
        yield count
        count *= 2


def _nearest(trials: Sequence[_Trial]) -> _Trial:
    return min(trials, key=lambda trial: trial.parity.log_odds_error)


def _record(best: _Trial, trials: Sequence[_Trial], harm: dict[str, float]) -> Quantisation:
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
        sensitivity=dict(sorted(harm.items(), key=lambda item: -item[1])),
    )

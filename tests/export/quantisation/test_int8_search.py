from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from export.parity import PredictFrames, ReferencePredictions, one_by_one
from export.quantisation.int8_search import Scheme, search
from pipeline.config.params import Int8Params

FRAMES = np.arange(40, dtype=np.uint8).reshape(40, 1, 1, 1)
LOG_ODDS = np.linspace(-3, 3, 40)
PARAMS = Int8Params(
    max_log_odds_error=0.1, min_agreement=0.9, percentiles=(95.0, 99.0, 100.0), max_float_ops=4, sensitivity_images=8
)


def as_probabilities(log_odds: float) -> NDArray[np.float32]:
    positive = 1 / (1 + np.exp(-log_odds))
    return np.array([1 - positive, positive], np.float32)


PROBABILITIES = np.stack([as_probabilities(log_odds) for log_odds in LOG_ODDS])
REFERENCE = ReferencePredictions(FRAMES, PROBABILITIES, 0.5, np.zeros(len(FRAMES), np.int64))


@dataclass
class ShiftingQuantiser:
    """Every op in 8 bits shifts all log-odds by its sensitivity times the factor of the range."""

    sensitivity: dict[str, float]
    ranges: dict[float, float] = field(default_factory=lambda: {95.0: 0.3, 99.0: 0.2, 100.0: 0.4})
    schemes: list[Scheme] = field(default_factory=list)

    @property
    def ops(self) -> Sequence[str]:
        return tuple(self.sensitivity)

    def quantise(self, scheme: Scheme) -> float:
        self.schemes.append(scheme)
        floats = set(scheme.float_ops)
        return self.ranges[scheme.percentile] * sum(error for op, error in self.sensitivity.items() if op not in floats)

    def isolate(self, op: str, percentile: float) -> PredictFrames:
        return self.open(self.ranges[percentile] * self.sensitivity[op])

    def open(self, model: float) -> PredictFrames:
        return one_by_one(lambda frame: as_probabilities(LOG_ODDS[int(frame.item())] + model))


def silent(_: str) -> None:
    """Ignore progress."""


def test_the_first_range_that_is_near_enough_ends_the_search() -> None:
    quantiser = ShiftingQuantiser({"conv": 1.0}, {95.0: 0.05, 99.0: 0.0, 100.0: 0.0})
    model, record = search(lambda: quantiser, REFERENCE, PARAMS, silent)
    assert model == 0.05
    assert quantiser.schemes == [Scheme(95.0)]
    assert (record.percentile, record.float_ops, record.sensitivity) == (95.0, (), {})


def test_the_most_sensitive_ops_of_the_best_range_stay_in_float_until_it_is_near_enough() -> None:
    quantiser = ShiftingQuantiser({"a": 0.1, "b": 2.0, "c": 0.2, "d": 1.0})
    _, record = search(lambda: quantiser, REFERENCE, PARAMS, silent)
    assert record.percentile == 99.0
    assert record.float_ops == ("b", "d")
    assert list(record.sensitivity) == ["b", "d", "c", "a"]
    assert record.sensitivity["b"] == pytest.approx(0.4, abs=1e-3)
    assert [(trial.percentile, trial.float_ops) for trial in record.trials] == [
        (95.0, 0),
        (99.0, 0),
        (100.0, 0),
        (99.0, 1),
        (99.0, 2),
    ]
    assert record.trials[-1].log_odds_error == pytest.approx(0.06, abs=1e-3)


def test_if_nothing_is_near_enough_the_nearest_is_taken() -> None:
    quantiser = ShiftingQuantiser({"a": 3.0, "b": 3.0, "c": 3.0}, {95.0: 1.0, 99.0: 2.0, 100.0: 3.0})
    model, record = search(lambda: quantiser, REFERENCE, PARAMS, silent)
    assert record.float_ops == ("a", "b")
    assert model == 3.0
    assert len(record.trials) == 5


def test_with_max_float_ops_0_all_ops_are_quantised() -> None:
    quantiser = ShiftingQuantiser({"a": 3.0})
    _, record = search(lambda: quantiser, REFERENCE, PARAMS.model_copy(update={"max_float_ops": 0}), silent)
    assert (record.percentile, record.float_ops, len(record.trials)) == (99.0, (), 3)


def test_decisions_must_agree_as_well() -> None:
    strict = PARAMS.model_copy(update={"min_agreement": 1.0})
    quantiser = ShiftingQuantiser({"a": 1.0}, {95.0: 0.09, 99.0: 0.0, 100.0: 0.0})
    model, record = search(lambda: quantiser, REFERENCE, strict, silent)
    assert (model, record.percentile) == (0.0, 99.0)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from export.parity import Judge, Predict
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


JUDGE = Judge(FRAMES, np.stack([as_probabilities(each) for each in LOG_ODDS]), 0.5, np.zeros(len(FRAMES), np.int64))


@dataclass
class Shifting:
    """Each op in 8 bits moves every answer's log-odds; so does a range, by as much as its table says."""

    harm: dict[str, float]
    ranges: dict[float, float] = field(default_factory=lambda: {95.0: 0.3, 99.0: 0.2, 100.0: 0.4})
    asked: list[Scheme] = field(default_factory=list)

    @property
    def ops(self) -> Sequence[str]:
        return tuple(self.harm)

    def quantise(self, scheme: Scheme) -> float:
        self.asked.append(scheme)
        floats = set(scheme.float_ops)
        return self.ranges[scheme.percentile] * sum(each for op, each in self.harm.items() if op not in floats)

    def isolate(self, op: str, percentile: float) -> Predict:
        return self.open(self.ranges[percentile] * self.harm[op])

    def open(self, model: float) -> Predict:
        return lambda frame: as_probabilities(LOG_ODDS[int(frame.item())] + model)


def quietly(_: str) -> None:
    """Hear nothing."""


def test_the_first_range_that_is_near_enough_ends_the_search() -> None:
    quantiser = Shifting({"conv": 1.0}, {95.0: 0.05, 99.0: 0.0, 100.0: 0.0})
    model, found = search(lambda: quantiser, JUDGE, PARAMS, quietly)
    assert model == 0.05
    assert quantiser.asked == [Scheme(95.0)]
    assert (found.percentile, found.float_ops, found.sensitivity) == (95.0, (), {})


def test_the_worst_ops_of_the_best_range_stay_in_float_until_it_is_near_enough() -> None:
    quantiser = Shifting({"a": 0.1, "b": 2.0, "c": 0.2, "d": 1.0})
    _, found = search(lambda: quantiser, JUDGE, PARAMS, quietly)
    assert found.percentile == 99.0
    assert found.float_ops == ("b", "d")
    assert list(found.sensitivity) == ["b", "d", "c", "a"]
    assert found.sensitivity["b"] == pytest.approx(0.4, abs=1e-3)
    assert [(trial.percentile, trial.float_ops) for trial in found.trials] == [
        (95.0, 0),
        (99.0, 0),
        (100.0, 0),
        (99.0, 1),
        (99.0, 2),
    ]
    assert found.trials[-1].log_odds_error == pytest.approx(0.06, abs=1e-3)


def test_where_nothing_is_near_enough_the_nearest_is_taken() -> None:
    quantiser = Shifting({"a": 3.0, "b": 3.0, "c": 3.0}, {95.0: 1.0, 99.0: 2.0, 100.0: 3.0})
    model, found = search(lambda: quantiser, JUDGE, PARAMS, quietly)
    assert found.float_ops == ("a", "b")
    assert model == 3.0
    assert len(found.trials) == 5


def test_no_op_may_stay_in_float_when_params_say_so() -> None:
    quantiser = Shifting({"a": 3.0})
    _, found = search(lambda: quantiser, JUDGE, PARAMS.model_copy(update={"max_float_ops": 0}), quietly)
    assert (found.percentile, found.float_ops, len(found.trials)) == (99.0, (), 3)


def test_equal_decisions_are_asked_for_as_well() -> None:
    strict = PARAMS.model_copy(update={"min_agreement": 1.0})
    quantiser = Shifting({"a": 1.0}, {95.0: 0.09, 99.0: 0.0, 100.0: 0.0})
    model, found = search(lambda: quantiser, JUDGE, strict, quietly)
    assert (model, found.percentile) == (0.0, 99.0)

"""Figures as reasons print them: a broken limit never looks kept because of rounding."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.evaluation.predictions import Predictions
from benchmarks.gate.checks.absolute_limits import check_absolute_limits, headline_sample
from benchmarks.gate.checks.check_results import percent, points, rise_or_fall
from pipeline.config.params import GateParams
from tests.benchmarks.evaluation.measurements import artifact_figures, measurement_of
from tests.benchmarks.small_task import NAMES


@pytest.mark.parametrize(
    ("share", "limit", "text"),
    [
        (0.98, None, "98 %"),
        (0.98049, None, "98.05 %"),
        (1.0, None, "100 %"),
        (0.97, 0.97, "97 %"),
        (0.9699999, 0.97, "96.99999 %"),
        (0.99999, 1.0, "99.999 %"),
        (25.0, None, "2,500 %"),
    ],
)
def test_a_share_beside_another_limit_has_the_digits_that_tell_them_apart(
    share: float, limit: float | None, text: str
) -> None:
    assert percent(share, limit) == text


def test_a_fall_just_beyond_its_margin_looks_larger_than_the_margin() -> None:
    assert (points(-0.01), points(0.03)) == ("1 point", "3 points")
    assert rise_or_fall(-0.010004, 0.01) == "fell by 1.0004 points"
    assert rise_or_fall(0.0, 0.01) == "is unchanged"


def test_an_agreement_just_below_its_limit_does_not_read_as_the_limit(
    gate_params: GateParams, table: Callable[..., Predictions]
) -> None:
    figures = artifact_figures(*NAMES[0].split("-", 1)).model_copy(update={"agreement": 0.9699999})
    sample = headline_sample(gate_params, measurement_of(table()), table())
    checks = check_absolute_limits(gate_params, sample, figures)
    (reason,) = (check.reason for check in checks if check.name == "agreement")
    assert reason.startswith("96.99999 % of its decisions are the checkpoint's; gate.min_agreement requires 97 %; ")

"""How results are stored."""

from __future__ import annotations

from typing import ClassVar

from benchmarks.evaluation.estimates import Estimate
from benchmarks.experiment_harness.results import ResultRecord


class Row(ResultRecord):
    INLINE: ClassVar[str] = "shares"

    steps: int
    shares: dict[str, float]


class Result(ResultRecord):
    accuracy: Estimate | None
    gain: Estimate | None = None
    rows: tuple[Row, ...] = ()


def dump(result: Result) -> dict[str, object]:
    return result.model_dump(mode="json", exclude_unset=True)


def test_estimates_are_three_keys_and_inlined_entries_are_keys_of_the_record() -> None:
    result = Result(accuracy=Estimate(value=0.5, low=0.25, high=0.75), rows=(Row(steps=4, shares={"mask": 1.0}),))
    assert dump(result) == {
        "accuracy": 0.5,
        "accuracy_low": 0.25,
        "accuracy_high": 0.75,
        "rows": [{"steps": 4, "mask": 1.0}],
    }


def test_an_undefined_estimate_is_null_and_an_unset_one_is_left_out() -> None:
    assert dump(Result(accuracy=None)) == {"accuracy": None, "accuracy_low": None, "accuracy_high": None}


def test_a_stored_record_can_be_read_again() -> None:
    result = Result(accuracy=Estimate(value=0.5, low=0.25, high=0.75))
    assert Result.model_validate_json(result.model_dump_json()) == result

"""What the tests of experiments share."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.experiment_harness.results import ResultRecord
from benchmarks.experiment_harness.workspace import Step


def ordered_names(steps: Iterable[Step]) -> list[str]:
    """Names of the steps; asserts that they are unique and that each comes after the steps it needs."""
    names: list[str] = []
    for step in steps:
        assert set(step.needs) <= set(names), step.name
        assert step.name not in names
        names.append(step.name)
    return names


def stored(result: ResultRecord) -> dict[str, object]:
    """A result as its file has it."""
    return result.model_dump(mode="json", exclude_unset=True)


def silent(_done: int, _total: int, _activity: str) -> None:
    """Report no progress."""

"""What the result files of all experiments have in common, and how one is read.

``gossamer benchmark NAME`` writes benchmarks/results/NAME.json. The report does not import experiments, so it reads
those files with records of its own: each section module beside this one defines the record of the figures it shows.
Keys that no section shows are ignored. A figure that is missing is None, and reads "unmeasured" on the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

from pydantic import ConfigDict, Field, JsonValue, ValidationError

from benchmarks.evaluation.conditions import Conditions, differences
from benchmarks.evaluation.estimates import FlatRecord
from pipeline.errors import DataError

R = TypeVar("R", bound="ExperimentResult")


class ResultRecord(FlatRecord):
    """A part of a result file; keys it does not name are ignored."""

    model_config = ConfigDict(extra="ignore")


class Machine(ResultRecord):
    """The machine that an experiment ran on: name of its processor, and number of cores."""

    cpu: str
    cores: int

    def __str__(self) -> str:
        """One line for the page."""
        return f"{self.cpu}, {self.cores} cores"


class ExperimentResult(ResultRecord):
    """One file of benchmarks/results/.

    Attributes:
        NAME: Stem of the file.
        BENCHMARK: Name of the benchmark that writes it.
        machine: Where its times and memory were measured; None where the file does not say.
        date: Day it was written, e.g. "2026-11-28"; empty in a file of an earlier version.
        params: Params of the benchmark.
        conditions: Policy, params and weights it was run with; None in a file of an earlier version.
    """

    NAME: ClassVar[str]
    BENCHMARK: ClassVar[str]
    machine: Machine | None = None
    date: str = ""
    params: dict[str, JsonValue] = Field(default_factory=dict)
    conditions: Conditions | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where figures come from that are not this run's; it labels them wherever they are shown.

    Attributes:
        benchmark: Name of the benchmark.
        date: Day it was run, or "unknown date".
        params: Its params, as KEY=VALUE; "" where the file has none.
        policy: Its policy, or "unknown".
        machine: Where it ran, or "".
        differences: What differs from this run, or is unknown.
    """

    benchmark: str
    date: str
    params: str
    policy: str
    machine: str
    differences: tuple[str, ...]


def origin_of(result: ExperimentResult, run: Conditions | None) -> Origin:
    """Label a result, with its differences from this run; a run of unknown conditions differs."""
    theirs = result.conditions
    unknown = ("policy, params and weights, not recorded",)
    return Origin(
        benchmark=result.BENCHMARK,
        date=result.date or "unknown date",
        params=_describe_params(result.params),
        policy=theirs.policy if theirs else "unknown",
        machine=str(result.machine or ""),
        differences=differences(theirs, run) if theirs and run else unknown,
    )


def read_result(folder: Path, kind: type[R]) -> R | None:
    """Read one experiment's result; None where its file is missing.

    Raises:
        DataError: The file is damaged, or holds figures of another type; names the key.
    """
    path = folder / f"{kind.NAME}.json"
    if not path.is_file():
        return None
    try:
        return kind.model_validate_json(path.read_bytes())
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = ".".join(map(str, problem["loc"])) or "the file"
        raise DataError(
            f"{path}: {place}: {problem['msg']}; restore it from git, or run gossamer benchmark {kind.BENCHMARK}"
        ) from error


def _describe_params(params: Mapping[str, JsonValue]) -> str:
    return ", ".join(f"{name}={_plain(value)}" for name, value in params.items() if value is not None)


def _plain(value: JsonValue) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_plain, value))}]"
    return str(value)

"""What the result files of all experiments have in common, and how one is read.

``gossamer benchmark NAME`` writes benchmarks/results/NAME.json. The report does not import experiments, so it reads
those files with records of its own: each section module beside this one defines the record of the figures it shows.
Keys that no section shows are ignored. A figure that is missing is None, and reads "unmeasured" on the page.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, TypeVar

from pydantic import ConfigDict, ValidationError

from benchmarks.evaluation.measurement import FlatRecord
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
    """

    NAME: ClassVar[str]
    BENCHMARK: ClassVar[str]
    machine: Machine | None = None


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

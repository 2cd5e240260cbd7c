"""What ``measure`` found about this machine: load times, latency, memory and preprocessing time, by artifact.

Reads section ``measure`` of metrics/machine.json, which git ignores (``pipeline.data.machine_figures``): a run on
another machine changes no tracked file whose result is the same. The result itself is in ``measurement``.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from benchmarks.latency.preprocessing import PreprocessTiming
from benchmarks.latency.single_artifact import Timing
from pipeline.data.machine_figures import read_machine_figures
from pipeline.data.records import Record

STAGE = "measure"
_PLACE = "latency"


class MachineFigures(Record):
    """Times and memory of every artifact, which hold for the machine they were taken on.

    Attributes:
        artifacts: Artifact name -> its load time, latency and memory; artifacts that could not be timed are left out.
        preprocess: Kind of picture ("selfie", "camera") -> time from encoded picture to model input.
        unmeasured: Place -> why the figures there are missing.
    """

    artifacts: dict[str, Timing] = Field(default_factory=dict)
    preprocess: dict[str, PreprocessTiming] = Field(default_factory=dict)
    unmeasured: dict[str, str] = Field(default_factory=dict)


def read_measured_machine(path: Path) -> MachineFigures:
    """Read this machine's figures; where there are none, or not such ones, ``unmeasured`` gives the reason.

    Args:
        path: metrics/machine.json.
    """
    section = read_machine_figures(path).get(STAGE)
    if section is None:
        return MachineFigures(unmeasured={_PLACE: f"{path}: this machine has not run dvc repro {STAGE}"})
    try:
        return MachineFigures.model_validate(section)
    except ValidationError:
        reason = f"{path}: section {STAGE} is of another version; run dvc repro --force --single-item {STAGE}"
        return MachineFigures(unmeasured={_PLACE: reason})

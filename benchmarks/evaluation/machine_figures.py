"""Figures of this machine that ``measure`` takes: load time, latency and memory by artifact, and preprocessing time.

Reads section ``measure`` of metrics/machine.json, which git ignores (``pipeline.data.machine_figures``): a run on
another machine changes no tracked file whose result is the same. The result itself is in ``measurement``.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from benchmarks.evaluation.measurement import Measurement
from benchmarks.latency.preprocessing import PreprocessTiming
from benchmarks.latency.single_artifact import Timing
from pipeline.data.machine_figures import read_machine_figures
from pipeline.data.records import Record

STAGE = "measure"
_PLACE = "latency"
_AGAIN = f"dvc repro --force --single-item {STAGE}"


class MachineFigures(Record):
    """Times and memory of every artifact, which hold for the machine they were taken on.

    Attributes:
        artifacts: Artifact name -> its load time, latency and memory; artifacts that could not be timed are left out.
        sha256: Artifact name -> SHA-256 of the file that was timed.
        preprocess: Kind of picture ("selfie", "camera") -> time from encoded picture to model input.
        unmeasured: Place -> why the figures there are missing.
    """

    artifacts: dict[str, Timing] = Field(default_factory=dict)
    sha256: dict[str, str] = Field(default_factory=dict)
    preprocess: dict[str, PreprocessTiming] = Field(default_factory=dict)
    unmeasured: dict[str, str] = Field(default_factory=dict)


def read_measured_machine(path: Path, measurement: Measurement) -> MachineFigures:
    """Read this machine's figures of the measured files; where one is missing, ``unmeasured`` gives the reason.

    The file stays when metrics/measure.json of another run is checked out, so times of other files are left out.

    Args:
        path: metrics/machine.json.
        measurement: metrics/measure.json.
    """
    section = read_machine_figures(path).get(STAGE)
    if section is None:
        return MachineFigures(unmeasured={_PLACE: f"{path}: this machine has not run dvc repro {STAGE}"})
    try:
        figures = MachineFigures.model_validate(section)
    except ValidationError:
        return MachineFigures(unmeasured={_PLACE: f"{path}: section {STAGE} is of another version; run {_AGAIN}"})
    same = {name for name, row in measurement.artifacts.items() if figures.sha256.get(name) == row.sha256}
    other = {
        f"artifacts.{name}.{_PLACE}": f"{path}: this machine timed another file; run {_AGAIN}"
        for name in measurement.artifacts
        if name in figures.artifacts and name not in same
    }
    timings = {name: timing for name, timing in figures.artifacts.items() if name in same}
    return figures.model_copy(update={"artifacts": timings, "unmeasured": {**figures.unmeasured, **other}})

"""Measures every TFLite and ONNX artifact in the ARM lab: ``python -m benchmarks.arm64 [ARTIFACTS] [SELFIES] [OUT]``.

The defaults are artifacts, data/selfies and metrics/arm64.json. params.yaml measure.arm64 names the lab's folder and
the number of selfies. The lab caches its results, so the stage ``measure`` does not emulate the same artifact again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.arm64.evaluate import ArmResult, LabRequest, choose_selfies, load_request, run_in_lab
from benchmarks.arm64.guests import arm64_guests
from benchmarks.arm64.lab import Lab, open_lab
from benchmarks.evaluation.inference import read_artifacts
from benchmarks.evaluation.measurement import Arm64Figures, ArmLab
from benchmarks.evaluation.selfie_sets import read_selfie_sets, take_headline
from export.formats import open_format
from pipeline.config.params import MeasureParams, load_params
from pipeline.data.records import Record
from pipeline.data.storage import write_json
from pipeline.errors import DataError, GossamerError

DEFAULTS = ("artifacts", "data/selfies", "metrics/arm64.json")


class ArmReport(Record):
    """metrics/arm64.json: the lab, figures by artifact, and the reasons for missing ones by place."""

    lab: ArmLab | None
    artifacts: dict[str, Arm64Figures]
    unmeasured: dict[str, str]


def measure(params: MeasureParams, artifacts: Path, selfies: Path) -> ArmResult:
    """Run the artifacts of a folder on the selfies that the stage ``measure`` chooses.

    Raises:
        GossamerError: There is no lab (the message names the setup command), or there are no artifacts or no selfies.
    """
    lab = open_lab(params.arm64.folder)
    if isinstance(lab, str):
        raise GossamerError(lab)
    headline, _ = take_headline(read_selfie_sets(selfies), params.headline, selfies)
    index = headline.rows
    rows = [index[row] for row in choose_selfies(len(index), params.arm64.selfies, params.seed)]
    if not rows:
        raise DataError(f"{selfies}: no selfies; run dvc repro selfies")
    formats = arm64_guests()
    requests = [
        _with_host_probabilities(lab, load_request(path, artifact, headline.folder, rows, None))
        for path, artifact in read_artifacts(artifacts)
        if artifact.format in formats
    ]
    return run_in_lab(lab, requests, params.confidence)


def main(arguments: Sequence[str]) -> int:
    """Measure, write OUT and print one line per artifact; returns 2 for a user's error."""
    if len(arguments) > len(DEFAULTS) or any(argument.startswith("-") for argument in arguments):
        sys.stderr.write(f"{__doc__}")
        return 2
    artifacts, selfies, out = map(Path, [*arguments, *DEFAULTS[len(arguments) :]])
    started = time.monotonic()
    try:
        result = measure(load_params().measure, artifacts, selfies)
    except GossamerError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    write_json(out, ArmReport(lab=result.lab, artifacts=dict(result.figures), unmeasured=dict(result.unmeasured)))
    for name, figures in result.figures.items():
        texts = (f"{key} {_format(value)}" for key, value in figures.model_dump().items())
        sys.stdout.write(f"{name}: {', '.join(texts)}\n")
    for place, reason in result.unmeasured.items():
        sys.stdout.write(f"unmeasured: {place}: {reason}\n")
    sys.stdout.write(f"{out}: written after {time.monotonic() - started:.0f} s\n")
    return 0


def _with_host_probabilities(lab: Lab, request: LabRequest) -> LabRequest:
    """Add this machine's probabilities, unless it is itself the ARM machine."""
    if not lab.emulated:
        return request
    predict = open_format(request.artifact.format).load(request.path, 1)
    return replace(request, host_probabilities=np.stack([predict(frame) for frame in request.frames]))


def _format(value: float | None) -> str:
    if value is None:
        return "unmeasured"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

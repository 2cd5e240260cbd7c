"""Measures every TFLite and ONNX artifact in the ARM lab: ``python -m benchmarks.arm64 [ARTIFACTS] [SELFIES] [OUT]``.

By default artifacts, data/selfies and metrics/arm64.json. Lab, selfies and their number come from params.yaml
measure.arm64. The lab remembers what it found: the stage ``measure`` need not emulate it again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.arm64.evaluate import Findings, Question, ask, choose, examine
from benchmarks.arm64.lab import FORMATS, Lab, open_lab
from benchmarks.evaluation.inference import read_artifacts
from export.formats import open_format
from pipeline.config.params import MeasureParams, load_params
from pipeline.data.shards import read_index
from pipeline.data.storage import write_json
from pipeline.errors import DataError, GossamerError

DEFAULTS = ("artifacts", "data/selfies", "metrics/arm64.json")


def measure(params: MeasureParams, artifacts: Path, selfies: Path) -> Findings:
    """Examine the artifacts of a folder on the selfies that ``measure`` would choose.

    Raises:
        GossamerError: There is no lab (it says how to set it up), no artifacts or no selfies.
    """
    lab = open_lab(params.arm64.folder)
    if isinstance(lab, str):
        raise GossamerError(lab)
    index = read_index(selfies)
    rows = [index[row] for row in choose(len(index), params.arm64.selfies, params.seed)]
    if not rows:
        raise DataError(f"{selfies}: no selfies; run dvc repro selfies")
    found = [each for each in read_artifacts(artifacts) if each[1].format in FORMATS]
    questions = [ask(path, artifact, selfies, rows, None) for path, artifact in found]
    return examine(lab, [_answered(lab, question) for question in questions], params.confidence)


def main(arguments: Sequence[str]) -> int:
    """Measure, write OUT and print a line an artifact; 2 for an error a user can mend."""
    if len(arguments) > len(DEFAULTS) or any(argument.startswith("-") for argument in arguments):
        sys.stderr.write(f"{__doc__}")
        return 2
    artifacts, selfies, out = map(Path, [*arguments, *DEFAULTS[len(arguments) :]])
    started = time.monotonic()
    try:
        findings = measure(load_params().measure, artifacts, selfies)
    except GossamerError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    content = {"lab": findings.lab, "artifacts": findings.figures, "unmeasured": findings.unmeasured}
    write_json(out, content)
    for name, figures in findings.figures.items():
        sys.stdout.write(f"{name}: " + ", ".join(f"{key} {_show(value)}" for key, value in figures.items()) + "\n")
    for place, reason in findings.unmeasured.items():
        sys.stdout.write(f"unmeasured: {place}: {reason}\n")
    sys.stdout.write(f"{out}: written after {time.monotonic() - started:.0f} s\n")
    return 0


def _answered(lab: Lab, question: Question) -> Question:
    """Add this machine's own answers, where they are another architecture's."""
    if not lab.emulated:
        return question
    predict = open_format(question.artifact.format).load(question.path, 1)
    here = np.stack([predict(frame) for frame in question.frames])
    return Question(question.path, question.artifact, question.frames, question.targets, here)


def _show(value: float | None) -> str:
    if value is None:
        return "unmeasured"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

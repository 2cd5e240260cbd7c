"""Runs TFLite and ONNX artifacts in the ARM lab: instructions per inference, and decisions beside this machine's.

Reads artifacts and selfies; writes only the lab's cache. Both the stage ``measure`` and ``python -m benchmarks.arm64``
use this module with the same selfies, so results cached by one are reused by the other.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from benchmarks.arm64.guests import arm64_guests
from benchmarks.arm64.lab import Lab, open_lab
from benchmarks.evaluation.estimates import Estimate
from benchmarks.evaluation.inference import EvaluationSet, artifact_name
from benchmarks.evaluation.measurement import Arm64Figures, ArmLab
from benchmarks.evaluation.predictions import Predictions
from pipeline.config.params import Arm64Params
from pipeline.data.preprocess import PreprocessSpec
from pipeline.data.records import Artifact, Image
from pipeline.data.shards import load_batch
from pipeline.errors import GossamerError, ParamsError
from pipeline.metrics.classification import decide
from pipeline.metrics.statistics import wilson_interval

INSTRUCTIONS = {
    "cortex-a76": "arm64_instructions",
    "cortex-a53": "arm64_instructions_a53",
    "native": "arm64_instructions",
}
"""Processor -> the field of ``Arm64Figures`` that holds its instruction count."""


@dataclass(frozen=True, slots=True)
class LabRequest:
    """One artifact, and the selfies to run it on.

    Attributes:
        path: The model file.
        artifact: Its record.
        frames: RGB frames at its input size, uint8 (n, height, width, 3).
        targets: True labels as indices, int64 (n,).
        host_probabilities: This machine's probabilities, float32 (n, labels); None where they are missing, or where
            this machine is the ARM machine.
    """

    path: Path
    artifact: Artifact
    frames: NDArray[np.uint8]
    targets: NDArray[np.int64]
    host_probabilities: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True)
class ArmResult:
    """Figures of every artifact, the reasons for missing ones by place, and the lab; None where no lab was used."""

    figures: Mapping[str, Arm64Figures]
    unmeasured: Mapping[str, str] = field(default_factory=dict)
    lab: ArmLab | None = None


def measure_on_arm(
    params: Arm64Params, evaluation_set: EvaluationSet, table: Predictions, seed: int, confidence: float
) -> ArmResult:
    """Run every artifact of an evaluation set in the lab.

    Args:
        params: Which lab, whether it is used, and on how many selfies.
        evaluation_set: The artifacts and selfies.
        table: This machine's predictions on all its selfies.
        seed: Seed of the choice of selfies.
        confidence: Two-sided level of intervals in (0, 1).

    Raises:
        ParamsError: The lab is required and there is none.
    """
    names = [artifact_name(artifact) for _, artifact in evaluation_set.artifacts]
    lab = "params.yaml measure.arm64.use: never" if params.use == "never" else open_lab(params.folder)
    if isinstance(lab, str):
        if params.use == "required":
            raise ParamsError(f"params.yaml measure.arm64.use: required; {lab}")
        return ArmResult({name: Arm64Figures() for name in names}, {"arm64": lab})
    indices = choose_selfies(len(evaluation_set.rows), params.selfies, seed)
    rows = [evaluation_set.rows[index] for index in indices]
    requests = []
    for path, artifact in evaluation_set.artifacts:
        name = artifact_name(artifact)
        host = table.probabilities[name][indices] if lab.emulated and table.is_whole(name) else None
        requests.append(load_request(path, artifact, evaluation_set.selfies, rows, host))
    return run_in_lab(lab, requests, confidence)


def choose_selfies(count: int, selfies: int, seed: int) -> NDArray[np.int64]:
    """Indices of ``selfies`` of ``count`` selfies (or all) in ascending order, drawn at random from the seed."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:selfies])


def load_request(
    path: Path, artifact: Artifact, selfies: Path, rows: Sequence[Image], host: NDArray[np.float32] | None
) -> LabRequest:
    """Load the frames of selfies for an artifact, and their true labels."""
    frames = load_batch(selfies, rows, PreprocessSpec.model_validate(artifact.preprocess))
    targets = np.array([artifact.labels.index(row.label) for row in rows], np.int64)
    return LabRequest(path, artifact, frames, targets, host)


def run_in_lab(lab: Lab, requests: Sequence[LabRequest], confidence: float) -> ArmResult:
    """Run every artifact, as many in parallel as there are cores: instruction counts do not depend on time.

    An artifact that cannot be run is unmeasured, with the reason.
    """
    figures = {artifact_name(request.artifact): Arm64Figures() for request in requests}
    formats = arm64_guests()
    unmeasured = {
        f"artifacts.{artifact_name(request.artifact)}.arm64": f"the ARM lab runs {' and '.join(formats)} only"
        for request in requests
        if request.artifact.format not in formats
    }
    runnable = [request for request in requests if request.artifact.format in formats]
    # The largest first, so that the threads finish at about the same time.
    ordered = sorted(runnable, key=lambda request: -request.artifact.size_bytes)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda request: _run(lab, request, confidence), ordered)
        for name, row, reasons in _show_progress(results, len(ordered)):
            figures[name] = row
            unmeasured |= reasons
    selfies = len(requests[0].frames) if requests else 0
    record = ArmLab(id=lab.id, emulated=lab.emulated, cpus=lab.cpus, selfies=selfies)
    return ArmResult(figures, unmeasured, record)


def compare_with_host(request: LabRequest, probabilities: NDArray[np.float32], confidence: float) -> Arm64Figures:
    """Accuracy of ARM's probabilities, float32 (n, labels), and how they differ from this machine's."""
    decisions = decide(probabilities, request.artifact.threshold)
    right = decisions == request.targets
    low, high = wilson_interval(int(right.sum()), len(right), confidence)
    accuracy = Estimate(value=float(right.mean()), low=low, high=high)
    if request.host_probabilities is None:
        return Arm64Figures(arm64_accuracy=accuracy)
    host = decide(request.host_probabilities, request.artifact.threshold)
    return Arm64Figures(
        arm64_accuracy=accuracy,
        arm64_host_accuracy=float(np.mean(host == request.targets)),
        arm64_agreement=float(np.mean(host == decisions)),
        arm64_max_abs_probability_diff=float(np.abs(probabilities - request.host_probabilities).max()),
    )


def _run(lab: Lab, request: LabRequest, confidence: float) -> tuple[str, Arm64Figures, dict[str, str]]:
    """Name of the artifact, its figures, and reasons for missing ones."""
    path, artifact = request.path, request.artifact
    name = artifact_name(artifact)
    counts: dict[str, int] = {}
    reasons: dict[str, str] = {}
    for cpu in lab.cpus:
        try:
            counts[INSTRUCTIONS[cpu]] = lab.instructions(path, artifact.format, request.frames[0], cpu)
        except GossamerError as error:
            reasons[f"artifacts.{name}.{INSTRUCTIONS[cpu]}"] = str(error)
    figures = Arm64Figures(**counts)
    try:
        probabilities = lab.predict(path, artifact.format, request.frames)
    except GossamerError as error:
        return name, figures, reasons | {f"artifacts.{name}.arm64_accuracy": str(error)}
    if not np.isfinite(probabilities).all():
        return name, figures, reasons | {f"artifacts.{name}.arm64_accuracy": "not all answers are numbers"}
    if request.host_probabilities is None:
        reasons[f"artifacts.{name}.arm64_agreement"] = "no answers of another architecture to compare with"
    return name, compare_with_host(request, probabilities, confidence).model_copy(update=counts), reasons


def _show_progress(
    results: Iterable[tuple[str, Arm64Figures, dict[str, str]]], count: int
) -> Iterable[tuple[str, Arm64Figures, dict[str, str]]]:
    console = Console(file=sys.stderr)
    return track(results, "arm64", total=count, console=console, disable=not console.is_terminal)

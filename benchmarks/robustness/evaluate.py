"""Runs the checkpoint and every artifact on selfies with camera distortions and with integration errors.

Reads data/selfies/ and the artifacts; writes only a temporary file of frames. The checkpoint is run under every
distortion at every severity and under every integration error, on the first ``selfies`` rows of a stratified order.
Each artifact is run under every distortion at one severity, on the first ``artifact_selfies`` of those rows; the first
artifact of each format also under the integration errors. Each picture is distorted once for all of them.

Precision: with 120 selfies, the 95 % interval (Wilson) of an accuracy of 90 % is 83 to 94 %, that of 50 % is 41 to
59 %; with 40 selfies, that of 90 % is 77 to 96 %. So the figure of a single distortion is coarse. ``camera_accuracy``,
the mean over the twenty distortions, is finer. Finer still is an artifact's difference from the checkpoint's
``camera_accuracy``, because both are measured on the same pictures; accuracies on other selfies are not comparable.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from benchmarks.evaluation.inference import EvaluationSet, Runtimes, artifact_name
from benchmarks.evaluation.inference_workers import Job, Probabilities, collect, submit, worker_pool
from benchmarks.evaluation.measurement import CameraBasis, CameraFigures, DistortionFigures
from benchmarks.robustness import metrics
from benchmarks.robustness.distortions import FULL_RESOLUTION_SCALE, INTEGRATION_ERRORS, distort
from benchmarks.robustness.geometry import limit_size
from benchmarks.robustness.metrics import (
    CLEAN,
    CheckpointCameraFigures,
    Corruption,
    Decisions,
    Ints,
)
from pipeline.config.params import MeasureParams
from pipeline.data.preprocess import Pixels, PreprocessSpec, fit
from pipeline.data.records import Artifact, Image
from pipeline.data.shards import read_pixels
from pipeline.data.stratified_subset import choose_rows
from pipeline.metrics.classification import decide

_EXAMPLE_CANDIDATES = 16


@dataclass(frozen=True, slots=True)
class RobustnessResult:
    """Sections of metrics/measure.json, and figures to add to others.

    Attributes:
        camera: Distortion -> severity -> accuracy.
        camera_basis: What the figures are based on; None where nothing was measured.
        integration_errors: Integration error -> accuracy.
        checkpoint: Figures of the checkpoint.
        artifacts: Artifact -> figures.
        unmeasured: Place in measure.json -> reason.
    """

    camera: Mapping[str, Mapping[int, DistortionFigures]]
    camera_basis: CameraBasis | None
    integration_errors: Mapping[str, DistortionFigures]
    checkpoint: CheckpointCameraFigures
    artifacts: Mapping[str, CameraFigures]
    unmeasured: Mapping[str, str] = field(default_factory=dict)


def run(params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes) -> RobustnessResult:
    """Measure under every corruption; where ``measure.camera.selfies`` is 0, everything is unmeasured.

    Raises:
        DataError: A selfie is missing or damaged.
    """
    camera = params.camera
    names = [artifact_name(artifact) for _, artifact in evaluation_set.artifacts]
    rows = choose_rows(evaluation_set.rows, camera.selfies, camera.seed) if camera.selfies else []
    if not rows:
        return _switched_off(names)
    artifact_rows = rows[: camera.artifact_selfies]
    with tempfile.TemporaryDirectory() as folder, worker_pool(params.workers) as executor:
        jobs = _jobs(params, evaluation_set, artifact_rows, Path(folder)) if artifact_rows else {}
        futures = {name: submit(executor, runtimes.open, job) for name, job in jobs.items()}
        checkpoint = _run_checkpoint(evaluation_set, rows, camera.seed)
        outputs = {name: _finite_or_reason(collect(future)) for name, future in futures.items()}
    labels = evaluation_set.reference.labels
    decisions = Decisions(
        targets=np.array([labels.index(row.label) for row in rows], np.int64),
        checkpoint=checkpoint,
        artifacts={
            name: _decide(params, jobs[name].artifact, probabilities)
            for name, probabilities in outputs.items()
            if not isinstance(probabilities, str)
        },
        artifact_selfies=len(artifact_rows),
        severity=camera.severity,
        confidence=params.confidence,
    )
    figures = metrics.artifact_figures(decisions)
    return RobustnessResult(
        camera=metrics.camera_accuracies(decisions),
        camera_basis=metrics.camera_basis(decisions, camera.seed, _example(evaluation_set, rows)),
        integration_errors=metrics.integration_error_accuracies(decisions),
        checkpoint=metrics.checkpoint_figures(decisions),
        artifacts={name: figures.get(name, CameraFigures()) for name in names},
        unmeasured=_unmeasured(names, outputs, decisions),
    )


def _switched_off(names: Sequence[str]) -> RobustnessResult:
    reasons = dict.fromkeys(("camera", "integration_errors"), "switched off: measure.camera.selfies is 0")
    figures = {name: CameraFigures() for name in names}
    return RobustnessResult({}, None, {}, CheckpointCameraFigures(), figures, reasons)


def corrupt(pixels: Pixels, corruption: Corruption, spec: PreprocessSpec, key: tuple[int, str]) -> Pixels:
    """Return the frame that the model receives for a decoded selfie under a corruption; ``key`` is (seed, image id)."""
    return fit(pixels, spec) if corruption == CLEAN else distort(pixels, *corruption, spec, key)


def _jobs(params: MeasureParams, evaluation_set: EvaluationSet, rows: Sequence[Image], folder: Path) -> dict[str, Job]:
    """Write the frames once for each preprocessing, and return artifact -> job."""
    corruptions = _artifact_corruptions(params)
    files: dict[PreprocessSpec, Path] = {}
    jobs: dict[str, Job] = {}
    formats: set[str] = set()
    for path, artifact in evaluation_set.artifacts:
        spec = PreprocessSpec.model_validate(artifact.preprocess)
        if spec not in files:
            files[spec] = folder / f"{len(files)}.npy"
            _write_frames(files[spec], evaluation_set, rows, (spec, corruptions, params.camera.seed))
        part = slice(None), slice(len(corruptions) - len(INTEGRATION_ERRORS) if artifact.format in formats else None)
        formats.add(artifact.format)
        jobs[artifact_name(artifact)] = Job(path.resolve(), artifact, params.threads, files[spec], part)
    return jobs


def _artifact_corruptions(params: MeasureParams) -> list[Corruption]:
    """Clean selfies, every distortion, and last the integration errors, which only some artifacts are run under."""
    distorted = metrics.distortions_at(params.camera.severity)
    return [CLEAN, *distorted, *(Corruption(name, 1) for name in INTEGRATION_ERRORS)]


def _write_frames(
    file: Path,
    evaluation_set: EvaluationSet,
    rows: Sequence[Image],
    wanted: tuple[PreprocessSpec, Sequence[Corruption], int],
) -> None:
    spec, corruptions, _ = wanted
    frames = np.lib.format.open_memmap(file, "w+", np.uint8, (len(rows), len(corruptions), *spec.input_size, 3))
    for index, row in enumerate(rows):
        frames[index] = _frames(evaluation_set, row, wanted)
    frames.flush()


def _frames(
    evaluation_set: EvaluationSet, row: Image, wanted: tuple[PreprocessSpec, Sequence[Corruption], int]
) -> NDArray[np.uint8]:
    spec, corruptions, seed = wanted
    pixels = limit_size(read_pixels(evaluation_set.selfies, row), spec, FULL_RESOLUTION_SCALE)
    return np.stack([corrupt(pixels, corruption, spec, (seed, row.id)) for corruption in corruptions])


def _run_checkpoint(evaluation_set: EvaluationSet, rows: Sequence[Image], seed: int) -> dict[Corruption, Ints]:
    reference, corruptions, decided = evaluation_set.reference, metrics.all_corruptions(), []
    console = Console(file=sys.stderr)
    for row in track(rows, "camera", console=console, disable=not console.is_terminal):
        frames = _frames(evaluation_set, row, (reference.preprocess, corruptions, seed))
        decided.append(decide(reference.predict(frames), reference.threshold))
    return dict(zip(corruptions, np.stack(decided, axis=1), strict=True))


def _example(evaluation_set: EvaluationSet, rows: Sequence[Image]) -> str:
    """Id of the selfie that the report shows: of the first few, the one whose mean brightness is nearest to 128."""
    candidates = rows[:_EXAMPLE_CANDIDATES]
    levels = [float(read_pixels(evaluation_set.selfies, row).mean()) for row in candidates]
    return candidates[int(np.argmin(np.abs(np.array(levels) - 128)))].id


def _finite_or_reason(probabilities: Probabilities | str) -> Probabilities | str:
    if isinstance(probabilities, str):
        return probabilities
    count = int((~np.isfinite(probabilities).all(axis=-1)).sum())
    total = probabilities[..., 0].size
    return f"{count} of {total} predictions on distorted selfies are not finite" if count else probabilities


def _decide(params: MeasureParams, artifact: Artifact, probabilities: Probabilities) -> dict[Corruption, Ints]:
    corruptions = _artifact_corruptions(params)[: probabilities.shape[1]]
    return {
        corruption: decide(probabilities[:, index], artifact.threshold) for index, corruption in enumerate(corruptions)
    }


def _unmeasured(
    names: Sequence[str], outputs: Mapping[str, Probabilities | str], decisions: Decisions
) -> dict[str, str]:
    off = "switched off: measure.camera.artifact_selfies is 0"
    reasons = {name: outputs.get(name, off) for name in names}
    places = {
        f"artifacts.{name}.camera_accuracy": reason for name, reason in reasons.items() if isinstance(reason, str)
    }
    if decisions.accuracy(decisions.checkpoint[CLEAN][: decisions.artifact_selfies or None]) == 1:
        places["mean_corruption_error"] = (
            "the checkpoint's error on these undistorted selfies is 0: nothing to divide by"
        )
    return places

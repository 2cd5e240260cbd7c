"""The checkpoint and every artifact on selfies as a phone's camera, and a hasty integration, would give them.

Reads data/selfies/ and the artifacts; writes nothing but a temporary file of frames. The checkpoint sees every
distortion at every severity and every mistake, on the first ``selfies`` rows of a representative order; each artifact
sees every distortion at one severity, on the first ``artifact_selfies`` of the same rows; one artifact a format sees
the mistakes. A picture is made once for all of them.

What that can tell: of 120 selfies, an accuracy of 90 % has a 95 % interval from 83 to 94 %, one of 50 % from 41 to 59 %
(Wilson); of 40 selfies, 90 % goes from 77 to 96 %. So one distortion's figure is coarse. ``camera_accuracy``, the mean
over the twenty distortions, is finer, and an artifact's difference from the checkpoint, which saw the same pictures,
much finer: compare it with the checkpoint's ``camera_accuracy``, not with another set of selfies.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from benchmarks.evaluation.accuracy import Figures
from benchmarks.evaluation.inference import EvaluationSet, Runtimes, artifact_name
from benchmarks.evaluation.inference_workers import Answers, Job, collect, submit, worker_pool
from benchmarks.robustness import metrics
from benchmarks.robustness.distortions import DETAIL, MISTAKES, distort
from benchmarks.robustness.geometry import bound
from benchmarks.robustness.metrics import CLEAN, Decisions, Ints, Look
from pipeline.config.params import MeasureParams
from pipeline.data.preprocess import Pixels, PreprocessSpec, fit
from pipeline.data.records import Artifact, Image
from pipeline.data.shards import read_pixels
from pipeline.data.stratified_subset import choose_rows
from pipeline.metrics.classification import decide

_SHOWABLE = 16


@dataclass(frozen=True, slots=True)
class Robustness:
    """What was found, as it stands in metrics/measure.json.

    Attributes:
        sections: ``camera``, ``camera_basis`` and ``mistakes``.
        checkpoint: Figures to add to the checkpoint's.
        artifacts: Name -> figures to add.
        unmeasured: Place -> reason.
    """

    sections: Mapping[str, Figures]
    checkpoint: Figures
    artifacts: Mapping[str, Figures]
    unmeasured: Mapping[str, str] = field(default_factory=dict)

    def add_to(self, measured: Mapping[str, Any]) -> dict[str, Any]:
        """Give the same metrics with these."""
        artifacts = {name: {**row, **self.artifacts.get(name, {})} for name, row in measured["artifacts"].items()}
        return {
            **measured,
            "checkpoint": {**measured["checkpoint"], **self.checkpoint},
            "artifacts": artifacts,
            **self.sections,
            "unmeasured": {**measured["unmeasured"], **self.unmeasured},
        }


def run(params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes) -> Robustness:
    """Measure on distorted selfies; where ``measure.camera.selfies`` is 0, say that nothing was.

    Raises:
        DataError: A selfie is missing or damaged.
    """
    camera = params.camera
    names = [artifact_name(artifact) for _, artifact in evaluation_set.artifacts]
    rows = choose_rows(evaluation_set.rows, camera.selfies, camera.seed) if camera.selfies else []
    if not rows:
        gaps = dict.fromkeys(("camera", "mistakes"), "switched off: measure.camera.selfies is 0")
        empty: dict[str, Figures] = {"camera": {}, "camera_basis": {}, "mistakes": {}}
        return Robustness(empty, metrics.nothing(), {name: metrics.nothing() for name in names}, gaps)
    few = rows[: camera.artifact_selfies]
    with tempfile.TemporaryDirectory() as folder, worker_pool(params.workers) as executor:
        jobs = _jobs(params, evaluation_set, few, Path(folder)) if few else {}
        asked = {name: submit(executor, runtimes.open, job) for name, job in jobs.items()}
        own = _predict_checkpoint(evaluation_set, rows, camera.seed)
        answers = {name: _whole(collect(future)) for name, future in asked.items()}
    labels = evaluation_set.reference.labels
    found = Decisions(
        targets=np.array([labels.index(row.label) for row in rows], np.int64),
        checkpoint=own,
        artifacts={
            name: _decisions(params, jobs[name].artifact, each)
            for name, each in answers.items()
            if not isinstance(each, str)
        },
        few=len(few),
        severity=camera.severity,
        confidence=params.confidence,
    )
    told = metrics.columns(found)
    return Robustness(
        {
            "camera": metrics.camera(found),
            "camera_basis": metrics.basis(found) | {"seed": camera.seed, "example": _example(evaluation_set, rows)},
            "mistakes": metrics.mistakes(found),
        },
        metrics.checkpoint(found),
        {name: told.get(name, metrics.nothing()) for name in names},
        _gaps(names, answers, found),
    )


def see(pixels: Pixels, look: Look, spec: PreprocessSpec, key: tuple[int, str]) -> Pixels:
    """Give the frame that the model gets of a decoded selfie; ``key`` is (seed, image id)."""
    return fit(pixels, spec) if look == CLEAN else distort(pixels, *look, spec, key)


def _jobs(params: MeasureParams, evaluation_set: EvaluationSet, rows: Sequence[Image], folder: Path) -> dict[str, Job]:
    """Write the frames, once for each way of fitting, and say what each artifact is asked of them."""
    looks = _shown(params)
    files: dict[PreprocessSpec, Path] = {}
    jobs: dict[str, Job] = {}
    formats: set[str] = set()
    for path, artifact in evaluation_set.artifacts:
        spec = PreprocessSpec.model_validate(artifact.preprocess)
        if spec not in files:
            files[spec] = folder / f"{len(files)}.npy"
            _write_frames(files[spec], evaluation_set, rows, (spec, looks, params.camera.seed))
        asked = slice(len(looks) - len(MISTAKES) if artifact.format in formats else None)
        formats.add(artifact.format)
        part = slice(None), asked
        jobs[artifact_name(artifact)] = Job(path.resolve(), artifact, params.threads, files[spec], part)
    return jobs


def _shown(params: MeasureParams) -> list[Look]:
    """What artifacts see: as it is, every distortion, and last the mistakes, which are not shown to all."""
    shaken = metrics.looks_at(params.camera.severity)
    return [CLEAN, *shaken, *(Look(name, 1) for name in MISTAKES)]


def _write_frames(
    file: Path, evaluation_set: EvaluationSet, rows: Sequence[Image], asked: tuple[PreprocessSpec, Sequence[Look], int]
) -> None:
    spec, looks, _ = asked
    frames = np.lib.format.open_memmap(file, "w+", np.uint8, (len(rows), len(looks), *spec.input_size, 3))
    for at, row in enumerate(rows):
        frames[at] = _frames(evaluation_set, row, asked)
    frames.flush()


def _frames(
    evaluation_set: EvaluationSet, row: Image, asked: tuple[PreprocessSpec, Sequence[Look], int]
) -> NDArray[np.uint8]:
    spec, looks, seed = asked
    pixels = bound(read_pixels(evaluation_set.selfies, row), spec, DETAIL)
    return np.stack([see(pixels, look, spec, (seed, row.id)) for look in looks])


def _predict_checkpoint(evaluation_set: EvaluationSet, rows: Sequence[Image], seed: int) -> dict[Look, Ints]:
    reference, looks, decided = evaluation_set.reference, metrics.every_look(), []
    console = Console(file=sys.stderr)
    for row in track(rows, "camera", console=console, disable=not console.is_terminal):
        frames = _frames(evaluation_set, row, (reference.preprocess, looks, seed))
        decided.append(decide(reference.predict(frames), reference.threshold))
    return dict(zip(looks, np.stack(decided, axis=1), strict=True))


def _example(evaluation_set: EvaluationSet, rows: Sequence[Image]) -> str:
    """The id of a selfie to show people: of the first few the one that is neither dark nor light."""
    few = rows[:_SHOWABLE]
    levels = [float(read_pixels(evaluation_set.selfies, row).mean()) for row in few]
    return few[int(np.argmin(np.abs(np.array(levels) - 128)))].id


def _whole(answers: Answers | str) -> Answers | str:
    if isinstance(answers, str):
        return answers
    wrong = int((~np.isfinite(answers).all(axis=-1)).sum())
    return f"{wrong} of {answers[..., 0].size} answers to distorted selfies are not numbers" if wrong else answers


def _decisions(params: MeasureParams, artifact: Artifact, answers: Answers) -> dict[Look, Ints]:
    shown = _shown(params)[: answers.shape[1]]
    return {look: decide(answers[:, at], artifact.threshold) for at, look in enumerate(shown)}


def _gaps(names: Sequence[str], answers: Mapping[str, Answers | str], found: Decisions) -> dict[str, str]:
    off = "switched off: measure.camera.artifact_selfies is 0"
    told = {name: answers.get(name, off) for name in names}
    gaps = {f"artifacts.{name}.camera_accuracy": why for name, why in told.items() if isinstance(why, str)}
    if found.accuracy(found.checkpoint[CLEAN][: found.few or None]) == 1:
        gaps["mean_corruption_error"] = (
            "the checkpoint mistakes none of these selfies undistorted: nothing to divide by"
        )
    return gaps

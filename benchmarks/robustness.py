"""The checkpoint and every artifact on selfies as a phone's camera, and a hasty integration, would give them.

Reads data/selfies/ and the artifacts; writes nothing but a temporary file of frames. The checkpoint sees every
distortion at every severity and every mistake, on the first ``selfies`` rows of a representative order; each artifact
sees every distortion at one severity, on the first ``artifact_selfies`` of the same rows; one artifact a format sees
the mistakes. A picture is made once for all of them. Artifacts run in processes of their own beside the checkpoint's.

What that can tell: of 120 selfies, an accuracy of 90 % has a 95 % interval from 83 to 94 %, one of 50 % from 41 to 59 %
(Wilson); of 40 selfies, 90 % goes from 77 to 96 %. So one distortion's figure is coarse. ``camera_accuracy``, the mean
over the twenty distortions, is finer, and an artifact's difference from the checkpoint, which saw the same pictures,
much finer: compare it with the checkpoint's ``camera_accuracy``, not with another set of selfies.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from benchmarks import corruption
from benchmarks.answers import Instruments, Subject, artifact_name
from benchmarks.camera import DETAIL, MISTAKES, distort
from benchmarks.camera.framing import bound
from benchmarks.corruption import CLEAN, Decisions, Ints, Look
from benchmarks.figures import Figures
from benchmarks.latency import Predict
from export.calibration import choose_rows
from pipeline.errors import GossamerError
from pipeline.metrics import decide
from pipeline.params import MeasureParams
from pipeline.preprocess import Pixels, PreprocessSpec, fit
from pipeline.records import Artifact, Image
from pipeline.shards import read_pixels

Open = Callable[[Path, Artifact, int], Predict]
Answers = NDArray[np.float32]
_SHOWABLE = 16


@dataclass(frozen=True, slots=True)
class Job:
    """What one artifact is asked.

    Attributes:
        path: The model file or package.
        artifact: Its record.
        threads: For its runtime.
        frames: An .npy file, uint8 (selfies, looks, height, width, 3).
        looks: What the frames show; the first so many are asked.
    """

    path: Path
    artifact: Artifact
    threads: int
    frames: Path
    looks: Sequence[Look]


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


def run(params: MeasureParams, subject: Subject, instruments: Instruments) -> Robustness:
    """Measure on distorted selfies; where ``measure.camera.selfies`` is 0, say that nothing was.

    Raises:
        DataError: A selfie is missing or damaged.
    """
    camera = params.camera
    names = [artifact_name(artifact) for _, artifact in subject.artifacts]
    rows = choose_rows(subject.rows, camera.selfies, camera.seed) if camera.selfies else []
    if not rows:
        gaps = dict.fromkeys(("camera", "mistakes"), "switched off: measure.camera.selfies is 0")
        empty: dict[str, Figures] = {"camera": {}, "camera_basis": {}, "mistakes": {}}
        return Robustness(empty, corruption.nothing(), {name: corruption.nothing() for name in names}, gaps)
    few = rows[: camera.artifact_selfies]
    with tempfile.TemporaryDirectory() as folder, _executor(camera.workers) as executor, _one_thread():
        jobs = _jobs(params, subject, few, Path(folder)) if few else {}
        asked = {name: executor.submit(partial(ask, instruments.open), job) for name, job in jobs.items()}
        own = _ask_checkpoint(subject, rows, camera.seed)
        answers = {name: _result(future) for name, future in asked.items()}
    labels = subject.reference.labels
    found = Decisions(
        targets=np.array([labels.index(row.label) for row in rows], np.int64),
        checkpoint=own,
        artifacts={name: _decisions(jobs[name], each) for name, each in answers.items() if not isinstance(each, str)},
        few=len(few),
        severity=camera.severity,
        confidence=params.confidence,
    )
    told = corruption.columns(found)
    return Robustness(
        {
            "camera": corruption.camera(found),
            "camera_basis": corruption.basis(found) | {"seed": camera.seed, "example": _example(subject, rows)},
            "mistakes": corruption.mistakes(found),
        },
        corruption.checkpoint(found),
        {name: told.get(name, corruption.nothing()) for name in names},
        _gaps(names, answers, found),
    )


def ask(opening: Open, job: Job) -> Answers | str:
    """Ask one artifact: probabilities, float32 (selfies, looks, labels), or why there are none."""
    frames = np.load(job.frames, mmap_mode="r")[:, : len(job.looks)]
    try:
        predict = opening(job.path, job.artifact, job.threads)
    except GossamerError as error:
        return str(error)
    answers = np.array([[predict(np.array(frame)) for frame in row] for row in frames], np.float32)
    wrong = int((~np.isfinite(answers).all(axis=-1)).sum())
    return f"{wrong} of {answers[..., 0].size} answers to distorted selfies are not numbers" if wrong else answers


def see(pixels: Pixels, look: Look, spec: PreprocessSpec, key: tuple[int, str]) -> Pixels:
    """Give the frame that the model gets of a decoded selfie; ``key`` is (seed, image id)."""
    return fit(pixels, spec) if look == CLEAN else distort(pixels, *look, spec, key)


def _jobs(params: MeasureParams, subject: Subject, rows: Sequence[Image], folder: Path) -> dict[str, Job]:
    """Write the frames, once for each way of fitting, and say what each artifact is asked of them."""
    shaken = [CLEAN, *corruption.looks_at(params.camera.severity)]
    looks = [*shaken, *(Look(name, 1) for name in MISTAKES)]
    files: dict[PreprocessSpec, Path] = {}
    jobs: dict[str, Job] = {}
    formats: set[str] = set()
    for path, artifact in subject.artifacts:
        spec = PreprocessSpec.model_validate(artifact.preprocess)
        if spec not in files:
            files[spec] = folder / f"{len(files)}.npy"
            _write_frames(files[spec], subject, rows, (spec, looks, params.camera.seed))
        asked = shaken if artifact.format in formats else looks
        formats.add(artifact.format)
        jobs[artifact_name(artifact)] = Job(path.resolve(), artifact, params.threads, files[spec], asked)
    return jobs


def _write_frames(
    file: Path, subject: Subject, rows: Sequence[Image], asked: tuple[PreprocessSpec, Sequence[Look], int]
) -> None:
    spec, looks, _ = asked
    frames = np.lib.format.open_memmap(file, "w+", np.uint8, (len(rows), len(looks), *spec.input_size, 3))
    for at, row in enumerate(rows):
        frames[at] = _frames(subject, row, asked)
    frames.flush()


def _frames(subject: Subject, row: Image, asked: tuple[PreprocessSpec, Sequence[Look], int]) -> NDArray[np.uint8]:
    spec, looks, seed = asked
    pixels = bound(read_pixels(subject.selfies, row), spec, DETAIL)
    return np.stack([see(pixels, look, spec, (seed, row.id)) for look in looks])


def _ask_checkpoint(subject: Subject, rows: Sequence[Image], seed: int) -> dict[Look, Ints]:
    reference, looks, decided = subject.reference, corruption.every_look(), []
    console = Console(file=sys.stderr)
    for row in track(rows, "camera", console=console, disable=not console.is_terminal):
        frames = _frames(subject, row, (reference.preprocess, looks, seed))
        decided.append(decide(reference.predict(frames), reference.threshold))
    return dict(zip(looks, np.stack(decided, axis=1), strict=True))


def _example(subject: Subject, rows: Sequence[Image]) -> str:
    """The id of a selfie to show people: of the first few the one that is neither dark nor light."""
    few = rows[:_SHOWABLE]
    levels = [float(read_pixels(subject.selfies, row).mean()) for row in few]
    return few[int(np.argmin(np.abs(np.array(levels) - 128)))].id


def _decisions(job: Job, answers: Answers) -> dict[Look, Ints]:
    return {look: decide(answers[:, at], job.artifact.threshold) for at, look in enumerate(job.looks)}


def _gaps(names: Sequence[str], answers: Mapping[str, Answers | str], found: Decisions) -> dict[str, str]:
    off = "switched off: measure.camera.artifact_selfies is 0"
    told = {name: answers.get(name, off) for name in names}
    gaps = {f"artifacts.{name}.camera_accuracy": why for name, why in told.items() if isinstance(why, str)}
    if found.accuracy(found.checkpoint[CLEAN][: found.few or None]) == 1:
        gaps["mean_corruption_error"] = (
            "the checkpoint mistakes none of these selfies undistorted: nothing to divide by"
        )
    return gaps


def _result(future: Future[Answers | str]) -> Answers | str:
    try:
        return future.result()
    except BrokenProcessPool:
        return "the process that ran it ended without an answer: out of memory?"


def _executor(workers: int) -> Executor:
    """Spawned processes, for torch and its threads do not survive a fork; with none, a thread of this process."""
    if workers == 0:
        return ThreadPoolExecutor(1)
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_settle)


def _settle() -> None:
    """Leave Ctrl-C to the parent, and take one thread an artifact: spinning threads beside others are far slower."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = "1"


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch have one thread while artifacts run beside it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

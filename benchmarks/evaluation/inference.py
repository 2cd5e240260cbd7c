"""The answers of the checkpoint and of every artifact on the same selfies, each artifact in its own runtime.

Reads models/checkpoint/, artifacts/FORMAT/artifact.json with the models it names, and data/selfies/; leaves nothing. An
artifact that cannot be opened here, or whose answers are not numbers, is left to its reason: the others go on.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.evaluation.accuracy import PolicyFacts
from benchmarks.evaluation.inference_workers import Answers, Job, Open, collect, employ, submit
from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from benchmarks.latency import single_artifact
from benchmarks.latency.preprocessing import PreprocessTiming, time_preprocessing
from pipeline.data.preprocess import PreprocessSpec
from pipeline.data.records import Artifact, Artifacts, Image
from pipeline.data.shards import load_batch
from pipeline.data.storage import read_json
from pipeline.errors import DataError, ModelError
from pipeline.train.model import Complexity, measure_complexity

_BATCH = 64
_PART = 500
"""Selfies that are frames on disk at a time: 22 MB at 128x96."""


@dataclass(frozen=True, slots=True)
class Reference:
    """The float checkpoint: uint8 (n, height, width, 3) RGB at its input size -> float32 (n, labels).

    ``complexity`` is None where it was not counted.
    """

    id: str
    labels: tuple[str, ...]
    threshold: float
    preprocess: PreprocessSpec
    predict: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    complexity: Complexity | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured, and on what.

    Attributes:
        reference: What the artifacts came from.
        artifacts: (model file or package, its record), in the order they are reported.
        selfies: Folder of the selfies.
        rows: Their records.
        policy: Factor names and costs.
    """

    reference: Reference
    artifacts: Sequence[tuple[Path, Artifact]]
    selfies: Path
    rows: Sequence[Image]
    policy: PolicyFacts = field(default_factory=PolicyFacts)


@dataclass(frozen=True, slots=True)
class Instruments:
    """What touches runtimes and clocks; a test passes its own.

    Attributes:
        open: Loads an artifact with so many threads; a module's own function, for workers get it by name.
        unmeasured: Why this machine cannot time a format; empty where it can.
        time: Times one artifact in a process of its own.
        preprocess: Times how encoded pictures become frames.
    """

    open: Open
    unmeasured: Callable[[str], str]
    time: Callable[[single_artifact.LatencyRequest], single_artifact.Timing]
    preprocess: Callable[[Sequence[bytes], PreprocessSpec], dict[str, PreprocessTiming]] = time_preprocessing


def artifact_name(artifact: Artifact) -> str:
    """Name of an artifact in metrics, checks and the predictions table."""
    return f"{artifact.format}-{artifact.recipe}"


def read_artifacts(folder: Path) -> list[tuple[Path, Artifact]]:
    """Read FOLDER/FORMAT/artifact.json of every format, sorted by format; files are checked to be there.

    Raises:
        DataError: There is none, or one is damaged.
        ModelError: A model it names is missing.
    """
    found = []
    for path in sorted(folder.glob("*/artifact.json")):
        for artifact in read_json(path, Artifacts).artifacts:
            model = path.parent / artifact.file
            if not model.exists():
                raise ModelError(f"{model}: missing; named by {path}; run dvc repro convert@{artifact.format}")
            found.append((model, artifact))
    if not found:
        raise DataError(f"{folder}: no artifacts; expected FORMAT/artifact.json; run dvc repro")
    return found


def read_reference(folder: Path) -> Reference:
    """Load a checkpoint as the reference.

    Raises:
        ModelError: The folder holds none, or a damaged one.
    """
    from pipeline.train.model import load_checkpoint, predict

    checkpoint = load_checkpoint(folder)
    config = checkpoint.config
    return Reference(
        config.checkpoint_id,
        config.labels,
        config.threshold,
        config.preprocess,
        lambda pixels: predict(checkpoint, pixels),
        measure_complexity(checkpoint.network, config.preprocess.input_size),
    )


def open_artifact(path: Path, artifact: Artifact, threads: int) -> single_artifact.Predict:
    """Load an artifact in its format's own runtime.

    Raises:
        ModelError: It is missing, truncated or not of this format.
    """
    from export.formats import open_format

    return open_format(artifact.format).load(path, threads)


def on_this_machine() -> Instruments:
    """Each format's own runtime, and fresh processes for time and memory."""
    from export.formats import open_format

    return Instruments(
        open=open_artifact,
        unmeasured=lambda name: open_format(name).runtime().unmeasured,
        time=single_artifact.measure,
    )


def check(subject: Subject) -> None:
    """Refuse a subject whose parts do not belong together.

    Raises:
        DataError: There are no selfies, or they are of other labels; an artifact is another checkpoint's.
    """
    if not subject.rows:
        raise DataError(f"{subject.selfies}: no selfies; run dvc repro selfies")
    strange = sorted({row.label for row in subject.rows} - set(subject.reference.labels))
    if strange:
        raise DataError(
            f"{subject.selfies}: label {strange[0]!r}; expected the checkpoint's: {', '.join(subject.reference.labels)}"
        )
    for path, artifact in subject.artifacts:
        if (artifact.checkpoint_id, artifact.labels) != (subject.reference.id, subject.reference.labels):
            raise DataError(f"{path}: made from another checkpoint; run dvc repro convert@{artifact.format}")


def answer(
    subject: Subject, instruments: Instruments, threads: int, workers: int = 0
) -> tuple[Predictions, dict[str, str]]:
    """Run every selfie through the checkpoint and every artifact that loads, so many artifacts at once.

    Some hundred selfies at a time lie as frames in a temporary folder, where workers read them.

    Returns:
        The answers, and by name why an artifact gave none, or none that can be used.
    """
    reference = subject.reference
    answers: dict[str, list[Answers]] = {CHECKPOINT: [], **{artifact_name(each): [] for _, each in subject.artifacts}}
    reasons: dict[str, str] = {}
    parts = [subject.rows[first : first + _PART] for first in range(0, len(subject.rows), _PART)]
    with _progress() as progress, employ(workers) as executor:
        bar = progress.add_task("measure", total=len(parts) * len(answers))
        for rows in parts:
            with tempfile.TemporaryDirectory() as folder:
                jobs = _jobs(subject, rows, Path(folder), threads)
                asked = {name: submit(executor, instruments.open, job) for name, job in jobs if name not in reasons}
                answers[CHECKPOINT].append(_ask_checkpoint(subject, rows))
                progress.advance(bar)
                for name, future in asked.items():
                    told = collect(future)
                    if isinstance(told, str):
                        reasons[name] = told
                    else:
                        answers[name].append(told)
                    progress.advance(bar)
    named = [(artifact_name(artifact), artifact) for _, artifact in subject.artifacts]
    opened = [(name, artifact) for name, artifact in named if name not in reasons]
    table = Predictions(
        ids=tuple(row.id for row in subject.rows),
        sha256=tuple(row.sha256 for row in subject.rows),
        targets=np.array([reference.labels.index(row.label) for row in subject.rows], np.int64),
        labels=reference.labels,
        thresholds={CHECKPOINT: reference.threshold, **{name: artifact.threshold for name, artifact in opened}},
        probabilities={name: np.concatenate(answers[name]) for name in (CHECKPOINT, *(name for name, _ in opened))},
        factors=tuple(row.factors for row in subject.rows),
    )
    for name in (name for name, _ in opened if not table.is_whole(name)):
        count = int((~np.isfinite(table.probabilities[name]).all(axis=1)).sum())
        reasons[name] = f"{count} of {len(table.ids)} answers are not numbers"
    return table, reasons


def _jobs(subject: Subject, rows: Sequence[Image], folder: Path, threads: int) -> Iterator[tuple[str, Job]]:
    """Say what each artifact is asked; the frames are written once for each way of fitting."""
    files: dict[PreprocessSpec, Path] = {}
    for path, artifact in subject.artifacts:
        spec = PreprocessSpec.model_validate(artifact.preprocess)
        if spec not in files:
            files[spec] = folder / f"{len(files)}.npy"
            np.save(files[spec], load_batch(subject.selfies, rows, spec))
        yield artifact_name(artifact), Job(path.resolve(), artifact, threads, files[spec])


def _ask_checkpoint(subject: Subject, rows: Sequence[Image]) -> Answers:
    reference = subject.reference
    batches = [rows[first : first + _BATCH] for first in range(0, len(rows), _BATCH)]
    answers = [reference.predict(load_batch(subject.selfies, batch, reference.preprocess)) for batch in batches]
    return np.concatenate(answers).astype(np.float32)


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console, disable=not console.is_terminal)

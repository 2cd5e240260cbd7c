"""Predictions of the checkpoint and of every artifact on the same selfies, each artifact in its own runtime.

Reads models/checkpoint/, artifacts/FORMAT/artifact.json with the models it names, and data/selfies/; writes nothing but
temporary frames. An artifact that cannot be loaded here, or whose predictions are not finite, gets a reason
instead of figures; the others are measured.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.evaluation.accuracy import PolicyFacts
from benchmarks.evaluation.inference_workers import Job, OpenArtifact, Probabilities, collect, submit, worker_pool
from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from benchmarks.evaluation.selfie_sets import RENDERED_CARD, SelfieFolder, SelfieSetCard
from benchmarks.latency import single_artifact
from benchmarks.latency.preprocessing import PreprocessTiming, time_preprocessing
from pipeline.data.preprocess import PreprocessSpec
from pipeline.data.records import Artifact, Artifacts, Image
from pipeline.data.shards import load_batch
from pipeline.data.storage import read_json
from pipeline.errors import DataError, ModelError
from pipeline.train.complexity import Complexity, measure_complexity

_BATCH = 64
_SELFIES_ON_DISK = 500
"""Selfies that are stored as frames at a time: 22 MB at 128x96."""


@dataclass(frozen=True, slots=True)
class Reference:
    """The float checkpoint that the artifacts were converted from.

    Attributes:
        id: Checkpoint id.
        labels: In the order of the probabilities; the last is the positive one.
        threshold: Decision threshold of the positive label's probability.
        preprocess: How a picture becomes a frame.
        predict: Frames uint8 (n, height, width, 3) RGB at the input size -> probabilities float32 (n, labels).
        complexity: Parameters and operations; None where they were not counted.
    """

    id: str
    labels: tuple[str, ...]
    threshold: float
    preprocess: PreprocessSpec
    predict: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    complexity: Complexity | None = None


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """The models to evaluate, and the test set to evaluate them on.

    Attributes:
        reference: The checkpoint that the artifacts came from.
        artifacts: (model file or package, its record), in the order they are reported.
        selfies: Folder of the selfies.
        rows: Their records.
        policy: Factor names and costs.
        card: What the test set is.
    """

    reference: Reference
    artifacts: Sequence[tuple[Path, Artifact]]
    selfies: Path
    rows: Sequence[Image]
    policy: PolicyFacts = field(default_factory=PolicyFacts)
    card: SelfieSetCard = RENDERED_CARD

    @property
    def test_set(self) -> SelfieFolder:
        """The test set."""
        return SelfieFolder(self.card, self.selfies, self.rows)

    def on(self, selfies: SelfieFolder) -> EvaluationSet:
        """The same models, to be evaluated on another test set."""
        return replace(self, selfies=selfies.folder, rows=selfies.rows, card=selfies.card)


@dataclass(frozen=True, slots=True)
class Runtimes:
    """Everything that touches a runtime or a clock; tests pass their own.

    Attributes:
        open: Loads an artifact with a number of threads; a module-level function, because workers import it by name.
        unmeasured: Format -> why this machine cannot time it; empty where it can.
        time: Times one artifact in a process of its own.
        preprocess: Times how encoded pictures become frames.
    """

    open: OpenArtifact
    unmeasured: Callable[[str], str]
    time: Callable[[single_artifact.LatencyRequest], single_artifact.Timing]
    preprocess: Callable[[Sequence[bytes], PreprocessSpec], dict[str, PreprocessTiming]] = time_preprocessing


def artifact_name(artifact: Artifact) -> str:
    """Name of an artifact in metrics, checks and the predictions table."""
    return f"{artifact.format}-{artifact.recipe}"


def read_artifacts(folder: Path) -> list[tuple[Path, Artifact]]:
    """Read FOLDER/FORMAT/artifact.json of every format, sorted by format, and check that the model files exist.

    Raises:
        DataError: There is no artifact.json, or one is damaged.
        ModelError: A model file that one names is missing.
    """
    artifacts = []
    for path in sorted(folder.glob("*/artifact.json")):
        for artifact in read_json(path, Artifacts).artifacts:
            model = path.parent / artifact.file
            if not model.exists():
                raise ModelError(f"{model}: missing; named by {path}; run dvc repro convert@{artifact.format}")
            artifacts.append((model, artifact))
    if not artifacts:
        raise DataError(f"{folder}: no artifacts; expected FORMAT/artifact.json; run dvc repro")
    return artifacts


def read_reference(folder: Path) -> Reference:
    """Load a checkpoint as the reference.

    Raises:
        ModelError: The folder holds no checkpoint, or a damaged one.
    """
    from pipeline.train.branch_fusion import fuse_branches
    from pipeline.train.model import load_checkpoint, predict

    checkpoint = load_checkpoint(folder)
    config = checkpoint.config
    return Reference(
        config.checkpoint_id,
        config.labels,
        config.threshold,
        config.preprocess,
        lambda pixels: predict(checkpoint, pixels),
        measure_complexity(fuse_branches(checkpoint.network), config.preprocess.input_size),
    )


def open_artifact(path: Path, artifact: Artifact, threads: int) -> single_artifact.Predict:
    """Load an artifact in its format's own runtime.

    Raises:
        ModelError: It is missing, truncated or not of this format.
    """
    from export.formats import open_format

    return open_format(artifact.format).load(path, threads)


def local_runtimes() -> Runtimes:
    """Each format's own runtime on this machine, and fresh processes for time and memory."""
    from export.formats import open_format

    return Runtimes(
        open=open_artifact,
        unmeasured=lambda name: open_format(name).runtime().unmeasured,
        time=single_artifact.time_artifact,
    )


def check_evaluation_set(evaluation_set: EvaluationSet) -> None:
    """Refuse an evaluation set whose parts do not belong together.

    Raises:
        DataError: There are no selfies, or they have other labels; an artifact was made from another checkpoint.
    """
    reference, folder = evaluation_set.reference, evaluation_set.selfies
    if not evaluation_set.rows:
        raise DataError(f"{folder}: no selfies; run dvc repro selfies")
    unknown = sorted({row.label for row in evaluation_set.rows} - set(reference.labels))
    if unknown:
        expected = ", ".join(reference.labels)
        raise DataError(f"{folder}: label {unknown[0]!r}; expected the checkpoint's: {expected}; run dvc repro selfies")
    for path, artifact in evaluation_set.artifacts:
        if (artifact.checkpoint_id, artifact.labels) != (reference.id, reference.labels):
            raise DataError(f"{path}: made from another checkpoint; run dvc repro convert@{artifact.format}")


def run_inference(
    evaluation_set: EvaluationSet, runtimes: Runtimes, threads: int, workers: int = 0
) -> tuple[Predictions, dict[str, str]]:
    """Run every selfie through the checkpoint and through every artifact that loads.

    ``_SELFIES_ON_DISK`` selfies at a time are stored as frames in a temporary folder, where workers read them.

    Args:
        evaluation_set: Models and selfies.
        runtimes: Loads artifacts.
        threads: Threads of each artifact's runtime.
        workers: Artifacts that run at the same time, each in a process; 0: one after the other in this process.

    Returns:
        The predictions, and the reason for each artifact without usable predictions, by name.
    """
    rows, names = evaluation_set.rows, [artifact_name(artifact) for _, artifact in evaluation_set.artifacts]
    outputs: dict[str, list[Probabilities]] = {name: [] for name in (CHECKPOINT, *names)}
    reasons: dict[str, str] = {}
    parts = [rows[first : first + _SELFIES_ON_DISK] for first in range(0, len(rows), _SELFIES_ON_DISK)]
    with _progress() as progress, worker_pool(workers) as executor:
        bar = progress.add_task("measure", total=len(parts) * len(outputs))
        for part in parts:
            with tempfile.TemporaryDirectory() as folder:
                jobs = _jobs(evaluation_set, part, Path(folder), threads)
                futures = {name: submit(executor, runtimes.open, job) for name, job in jobs if name not in reasons}
                outputs[CHECKPOINT].append(_predict_checkpoint(evaluation_set, part))
                progress.advance(bar)
                for name, future in futures.items():
                    result = collect(future)
                    if isinstance(result, str):
                        reasons[name] = result
                    else:
                        outputs[name].append(result)
                    progress.advance(bar)
    whole = {name: np.concatenate(parts) for name, parts in outputs.items() if name not in reasons}
    table = _predictions(evaluation_set, whole)
    for name in whole:
        if name != CHECKPOINT and not table.is_whole(name):
            count = int((~np.isfinite(table.probabilities[name]).all(axis=1)).sum())
            reasons[name] = f"{count} of {len(table.ids)} predictions are not finite"
    return table, reasons


def _predictions(evaluation_set: EvaluationSet, probabilities: dict[str, Probabilities]) -> Predictions:
    reference, rows = evaluation_set.reference, evaluation_set.rows
    thresholds = {artifact_name(artifact): artifact.threshold for _, artifact in evaluation_set.artifacts}
    return Predictions(
        ids=tuple(row.id for row in rows),
        sha256=tuple(row.sha256 for row in rows),
        targets=np.array([reference.labels.index(row.label) for row in rows], np.int64),
        labels=reference.labels,
        thresholds={name: thresholds.get(name, reference.threshold) for name in probabilities},
        probabilities=probabilities,
        factors=tuple(row.factors for row in rows),
        sets=(evaluation_set.card.name,) * len(rows),
    )


def _jobs(
    evaluation_set: EvaluationSet, rows: Sequence[Image], folder: Path, threads: int
) -> Iterator[tuple[str, Job]]:
    """Name and job of each artifact; frames are written once per preprocessing."""
    files: dict[PreprocessSpec, Path] = {}
    for path, artifact in evaluation_set.artifacts:
        spec = PreprocessSpec.model_validate(artifact.preprocess)
        if spec not in files:
            files[spec] = folder / f"{len(files)}.npy"
            np.save(files[spec], load_batch(evaluation_set.selfies, rows, spec))
        yield artifact_name(artifact), Job(path.resolve(), artifact, threads, files[spec])


def _predict_checkpoint(evaluation_set: EvaluationSet, rows: Sequence[Image]) -> Probabilities:
    reference, folder = evaluation_set.reference, evaluation_set.selfies
    batches = [rows[first : first + _BATCH] for first in range(0, len(rows), _BATCH)]
    outputs = [reference.predict(load_batch(folder, batch, reference.preprocess)) for batch in batches]
    return np.concatenate(outputs).astype(np.float32)


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console, disable=not console.is_terminal)

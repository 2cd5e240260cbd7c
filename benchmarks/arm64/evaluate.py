"""Runs TFLite and ONNX artifacts in the ARM lab: instructions per inference, and decisions beside this machine's own.

Reads artifacts and frames; writes nothing but what the lab keeps. Both the stage ``measure`` and
``python -m benchmarks.arm64`` end up here, and ask the lab the same questions: what one found, the other remembers.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from benchmarks.arm64.lab import FORMATS, Lab, open_lab
from benchmarks.evaluation.inference import EvaluationSet, artifact_name
from benchmarks.evaluation.predictions import Predictions
from pipeline.config.params import Arm64Params
from pipeline.data.preprocess import PreprocessSpec
from pipeline.data.records import Artifact, Image
from pipeline.data.shards import load_batch
from pipeline.errors import GossamerError, ParamsError
from pipeline.metrics.classification import decide
from pipeline.metrics.statistics import wilson_interval

Figures = dict[str, Any]
COUNTS = {"cortex-a76": "arm64_instructions", "cortex-a53": "arm64_instructions_a53", "native": "arm64_instructions"}
RATES = (
    "arm64_accuracy",
    "arm64_accuracy_low",
    "arm64_accuracy_high",
    "arm64_accuracy_here",
    "arm64_agreement",
    "arm64_max_abs_probability_diff",
)
FIGURES = (*dict.fromkeys(COUNTS.values()), *RATES)
_SLOW_FIRST = ("onnx", "tflite")  # so that the last one to finish is a short one


@dataclass(frozen=True, slots=True)
class Question:
    """One artifact, and the selfies it is asked about.

    Attributes:
        frames: uint8 (n, height, width, 3) RGB at its input size.
        targets: True labels int64 (n,).
        here: This machine's own answers float32 (n, labels); None where it has none.
    """

    path: Path
    artifact: Artifact
    frames: NDArray[np.uint8]
    targets: NDArray[np.int64]
    here: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True)
class Findings:
    """Figures by artifact (None where unmeasured), why what is missing is missing, and the lab they come from."""

    figures: Mapping[str, Figures]
    unmeasured: Mapping[str, str] = field(default_factory=dict)
    lab: Mapping[str, Any] = field(default_factory=dict)


def survey(
    params: Arm64Params, evaluation_set: EvaluationSet, table: Predictions, seed: int, confidence: float
) -> Findings:
    """Ask the lab about every artifact of an evaluation set; ``table`` has this machine's answers to its selfies.

    Raises:
        ParamsError: The lab is required and is not there.
    """
    names = [artifact_name(artifact) for _, artifact in evaluation_set.artifacts]
    lab = "params.yaml measure.arm64.use: never" if params.use == "never" else open_lab(params.folder)
    if isinstance(lab, str):
        if params.use == "required":
            raise ParamsError(f"params.yaml measure.arm64.use: required; {lab}")
        return Findings({name: dict.fromkeys(FIGURES) for name in names}, {"arm64": lab})
    rows = choose(len(evaluation_set.rows), params.selfies, seed)
    chosen = [evaluation_set.rows[row] for row in rows]
    questions = []
    for path, artifact in evaluation_set.artifacts:
        name = artifact_name(artifact)
        here = table.probabilities[name][rows] if lab.emulated and table.is_whole(name) else None
        questions.append(ask(path, artifact, evaluation_set.selfies, chosen, here))
    return examine(lab, questions, confidence)


def choose(count: int, selfies: int, seed: int) -> NDArray[np.int64]:
    """Choose so many of ``count`` selfies (or all), in order; the same seed chooses the same."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:selfies])


def ask(
    path: Path, artifact: Artifact, selfies: Path, rows: Sequence[Image], here: NDArray[np.float32] | None
) -> Question:
    """Load the selfies' pixels as an artifact wants them, and their true labels."""
    frames = load_batch(selfies, rows, PreprocessSpec.model_validate(artifact.preprocess))
    targets = np.array([artifact.labels.index(row.label) for row in rows], np.int64)
    return Question(path, artifact, frames, targets, here)


def examine(lab: Lab, questions: Sequence[Question], confidence: float) -> Findings:
    """Count and compare every artifact; one that cannot be run is left to its reason.

    As many run side by side as there are cores: what is counted does not depend on the clock.
    """
    figures = {artifact_name(question.artifact): dict.fromkeys(FIGURES) for question in questions}
    unmeasured = {
        f"artifacts.{artifact_name(question.artifact)}.arm64": f"the ARM lab runs {' and '.join(FORMATS)} only"
        for question in questions
        if question.artifact.format not in FORMATS
    }
    asked = [question for name in _SLOW_FIRST for question in questions if question.artifact.format == name]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, found, reasons in _watch(pool.map(lambda one: _examine(lab, one, confidence), asked), len(asked)):
            figures[name] |= found
            unmeasured |= reasons
    count = len(questions[0].frames) if questions else 0
    facts = {"id": lab.id, "emulated": lab.emulated, "cpus": list(lab.cpus), "selfies": count}
    return Findings(figures, unmeasured, facts)


def compare(question: Question, answers: NDArray[np.float32], confidence: float) -> Figures:
    """Figures of ARM's answers: accuracy with its Wilson interval, and how they differ from this machine's."""
    decisions = decide(answers, question.artifact.threshold)
    right = decisions == question.targets
    low, high = wilson_interval(int(right.sum()), len(right), confidence)
    found: Figures = {
        "arm64_accuracy": float(right.mean()),
        "arm64_accuracy_low": low,
        "arm64_accuracy_high": high,
    }
    if question.here is None:
        return found
    here = decide(question.here, question.artifact.threshold)
    return found | {
        "arm64_accuracy_here": float(np.mean(here == question.targets)),
        "arm64_agreement": float(np.mean(here == decisions)),
        "arm64_max_abs_probability_diff": float(np.abs(answers - question.here).max()),
    }


def _examine(lab: Lab, question: Question, confidence: float) -> tuple[str, Figures, dict[str, str]]:
    """Figures of one artifact, and reasons."""
    path, artifact = question.path, question.artifact
    name = artifact_name(artifact)
    found: Figures = {}
    reasons: dict[str, str] = {}
    for cpu in lab.cpus:
        try:
            found[COUNTS[cpu]] = lab.instructions(path, artifact.format, question.frames[0], cpu)
        except GossamerError as error:
            reasons[f"artifacts.{name}.{COUNTS[cpu]}"] = str(error)
    try:
        answers = lab.answers(path, artifact.format, question.frames)
    except GossamerError as error:
        return name, found, reasons | {f"artifacts.{name}.arm64_accuracy": str(error)}
    if not np.isfinite(answers).all():
        return name, found, reasons | {f"artifacts.{name}.arm64_accuracy": "not all answers are numbers"}
    if question.here is None:
        reasons[f"artifacts.{name}.arm64_agreement"] = "no answers of another architecture to compare with"
    return name, found | compare(question, answers, confidence), reasons


def _watch(results: Iterable[tuple[str, Figures, dict[str, str]]], count: int) -> Iterable[Any]:
    console = Console(file=sys.stderr)
    return track(results, "arm64", total=count, console=console, disable=not console.is_terminal)

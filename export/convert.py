"""Stage ``convert``: a checkpoint becomes one format's artifacts, each shown to decide as the checkpoint does.

Reads a checkpoint, training rows to calibrate on and validation rows to compare on; writes a file a recipe and
artifact.json into one folder, which appears whole or not at all. Returns metrics/convert-FORMAT.json.
"""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from export.formats import ExportJob, Format, Interface, open_format, tool_versions
from export.parity import Judge, Parity, compare, run_artifact
from pipeline.config.fields import load_section
from pipeline.config.params import ConvertParams
from pipeline.data.hashing import sha256_of, size_of
from pipeline.data.machine_figures import Figures
from pipeline.data.records import Artifact, Artifacts, Image, Tensor
from pipeline.data.shards import load_batch
from pipeline.data.storage import atomic_folder, write_json
from pipeline.data.stratified_subset import choose_rows
from pipeline.errors import DataError, ModelError
from pipeline.metrics.decision_threshold import Costs, OperatingPoint, align_log_odds, choose_operating_point
from pipeline.train.model import Checkpoint, CheckpointConfig, PortableClassifier, predict

ARTIFACT_JSON = "artifact.json"
MIN_FLOAT_AGREEMENT = 0.999
MAX_FLOAT_DIFFERENCE = 1e-3


@dataclass(frozen=True, slots=True)
class ConvertRows:
    """Where pixels come from.

    Attributes:
        images: Folder of shards.
        calibration: Candidates for calibration: the training rows.
        parity: Candidates for the comparison: the validation rows.
        question: The policy's, for the artifacts' own metadata.
        costs: What mistakes and retakes cost: where artifacts decide and where they ask for another picture.
    """

    images: Path
    calibration: Sequence[Image]
    parity: Sequence[Image]
    question: str = ""
    costs: Costs = field(default_factory=Costs)


@dataclass(frozen=True, slots=True)
class ConvertResult:
    """Artifacts of one format and their figures.

    Attributes:
        artifacts: Contents of artifact.json.
        metrics: Contents of metrics/convert-FORMAT.json: figures by recipe.
        machine: Section ``convert-FORMAT`` of metrics/machine.json: figures by recipe.
    """

    artifacts: Artifacts
    metrics: dict[str, Any]
    machine: Figures


def run(params: ConvertParams, format_name: str, checkpoint: Checkpoint, rows: ConvertRows, out: Path) -> ConvertResult:
    """Export every recipe of one format, reload it in its runtime and compare it with the checkpoint.

    Args:
        params: The section ``convert``; the format validates its own part.
        format_name: A file of export/formats/.
        checkpoint: The reference.
        rows: Images to calibrate and to compare on.
        out: Folder to write; replaced as a whole once everything has passed.

    Raises:
        ParamsError: No such format, or a wrong value in its section.
        DataError: There are no rows.
        ModelError: A float32 artifact does not decide as the checkpoint does.
    """
    chosen = open_format(format_name)
    section = load_section(chosen.Params, params.formats.get(format_name, {}), f"convert.formats.{format_name}")
    console = Console(stderr=True)
    job = _job(params, checkpoint, rows, lambda words: console.print(f"convert {format_name}: {words}"))
    artifacts: list[Artifact] = []
    metrics: dict[str, Any] = {}
    machine: dict[str, Figures] = {}
    with atomic_folder(out) as folder:
        for recipe in section.recipes:
            console.print(f"convert {format_name} {recipe}: exporting")
            started = time.perf_counter()
            path = folder / f"{recipe}{chosen.suffix(recipe)}"
            try:
                quantisation = chosen.export(job, recipe, section, path)
            except (RuntimeError, ValueError) as error:
                # The toolkits' own advice fills pages; the cause's first line says it.
                reason = str(error.__cause__ or error).strip().partition("\n")[0]
                raise ModelError(
                    f"{checkpoint.config.backbone} cannot be exported to {format_name} {recipe}: {reason}; "
                    "try another train.backbone"
                ) from error
            seconds = time.perf_counter() - started
            answers = _answer(chosen, path, recipe, job.judge, checkpoint.config)
            parity = _check(path, recipe, job.judge, answers)
            artifact = _record(chosen, format_name, recipe, path, checkpoint.config)
            point = _operating_point(rows.costs, checkpoint.config, job.judge, answers)
            decision = {"threshold": point.threshold, "retake_band": point.abstention_band}
            artifacts.append(artifact.model_copy(update={**decision, "quantisation": quantisation}))
            left = {"float_ops": len(quantisation.float_ops)} if quantisation else {}
            metrics[recipe] = {**asdict(parity), **left, "size_bytes": size_of(path)}
            machine[recipe] = {"seconds": round(seconds, 2)}
        result = ConvertResult(Artifacts(format=format_name, artifacts=tuple(artifacts)), metrics, machine)
        write_json(folder / ARTIFACT_JSON, result.artifacts)
    return result


def _job(params: ConvertParams, checkpoint: Checkpoint, rows: ConvertRows, tell: Callable[[str], None]) -> ExportJob:
    spec = checkpoint.config.preprocess
    chosen = choose_rows(rows.calibration, params.calibration_images, params.seed)
    if not chosen:
        raise DataError("no image to calibrate on; expected training rows; run dvc repro split")
    if {row.label for row in chosen} != set(checkpoint.config.labels):
        found = " and ".join(sorted({row.label for row in chosen}))
        raise DataError(
            f"{len(chosen)} images to calibrate on, all {found}; expected some of each of "
            f"{', '.join(checkpoint.config.labels)}: raise params.yaml convert.calibration_images, or train anew"
        )
    frames = load_batch(rows.images, chosen, spec)
    metadata = {
        "author": "Gossamer",
        "license": "Apache-2.0",
        "version": checkpoint.config.checkpoint_id[:12],
        "description": rows.question or f"Tells {' from '.join(checkpoint.config.labels)}",
        "checkpoint_id": checkpoint.config.checkpoint_id,
    }
    network = PortableClassifier(checkpoint.network, spec).eval()
    judge = _judge(params, checkpoint, rows)
    return ExportJob(network, spec, checkpoint.config.labels, frames, judge, params.int8, metadata, tell)


def _judge(params: ConvertParams, checkpoint: Checkpoint, rows: ConvertRows) -> Judge:
    chosen = choose_rows(rows.parity, params.parity_images, params.seed)
    if not chosen:
        raise DataError("no image to compare on; expected validation rows; run dvc repro split")
    frames = load_batch(rows.images, chosen, checkpoint.config.preprocess)
    labels = checkpoint.config.labels
    targets = np.array([labels.index(row.label) for row in chosen], np.int64)
    return Judge(frames, predict(checkpoint, frames), checkpoint.config.threshold, targets)


def _answer(chosen: Format, path: Path, recipe: str, judge: Judge, config: CheckpointConfig) -> NDArray[np.float32]:
    """Reload an artifact in its runtime and let it answer the validation frames: float32 (n, labels)."""
    interface = chosen.describe(path)
    if interface.labels != config.labels or (interface.height, interface.width) != config.preprocess.input_size:
        raise ModelError(f"{path.name}: reads back as {interface}; expected {config.labels}, {config.preprocess}")
    frames = track(judge.frames, f"convert {recipe}: comparing", console=Console(stderr=True), transient=True)
    return run_artifact(chosen.load(path), frames)


def _check(path: Path, recipe: str, judge: Judge, answers: NDArray[np.float32]) -> Parity:
    """Compare with the checkpoint at the checkpoint's threshold; a float32 artifact has no excuse to differ."""
    parity = compare(judge.answers, answers, judge.threshold)
    differs = parity.agreement < MIN_FLOAT_AGREEMENT or parity.max_abs_probability_diff > MAX_FLOAT_DIFFERENCE
    if recipe == "float32" and differs:
        raise ModelError(
            f"{path.name}: {parity}; expected agreement of at least {MIN_FLOAT_AGREEMENT} and a difference of at most "
            f"{MAX_FLOAT_DIFFERENCE}; the converter changed the network: try another train.backbone"
        )
    return parity


def _operating_point(
    costs: Costs, config: CheckpointConfig, judge: Judge, answers: NDArray[np.float32]
) -> OperatingPoint:
    """Choose where an artifact decides, so that it is not judged with the checkpoint's threshold.

    The checkpoint's point is known from all validation rows; the artifact's is that one, moved by how its answers lie
    beside the checkpoint's on the frames at hand. Fitted to these few alone it would wander, and decisions with it.
    """
    theirs = choose_operating_point(config.temperature, costs, len(config.labels))
    return theirs.transfer(*align_log_odds(judge.answers, answers, judge.targets, theirs.threshold))


def _record(chosen: Format, format_name: str, recipe: str, path: Path, config: CheckpointConfig) -> Artifact:
    interface = chosen.describe(path)
    return Artifact(
        id=f"{format_name}-{recipe}",
        format=format_name,
        recipe=recipe,
        file=path.name,
        sha256=sha256_of(path),
        size_bytes=size_of(path),
        input=_input(interface),
        output=Tensor(
            name=interface.output_name,
            shape=(1, len(interface.labels)),
            dtype="float32",
            layout="NC",
            range=(0.0, 1.0),
            meaning=f"probabilities of {', '.join(interface.labels)}, in this order",
        ),
        labels=interface.labels,
        threshold=config.threshold,
        retake_band=None,
        preprocess=config.preprocess.model_dump(mode="json"),
        tools={**tool_versions(chosen), "gossamer": _own_version()},
        checkpoint_id=config.checkpoint_id,
        dataset_id=config.dataset_id,
    )


def _input(interface: Interface) -> Tensor:
    return Tensor(
        name=interface.input_name,
        shape=(1, interface.height, interface.width, 3),
        dtype=interface.dtype,
        layout=interface.layout,
        range=(0.0, 255.0),
        meaning="one upright RGB frame, portrait; normalisation is inside the graph",
    )


def _own_version() -> str:
    try:
        return importlib.metadata.version("gossamer")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"

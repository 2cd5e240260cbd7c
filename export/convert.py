"""Stage ``convert``: exports the checkpoint to one format and compares every artifact with the checkpoint.

Reads a checkpoint, training rows to calibrate on and validation rows to compare on. Writes one file or package per
recipe and artifact.json into one folder, which appears complete or not at all. Returns metrics/convert-FORMAT.json.

Recipes are exported in a work area, artifacts.FORMAT.work/ beside artifacts/, one entry per recipe: a run that was
killed resumes with the first recipe that is missing. A later command removes it (``pipeline.data.finished_work``).
"""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from export.decision import Decision, decision_metadata
from export.formats import ExportJob, Format, Interface, extras_of, open_format, tool_versions
from export.parity import Parity, ReferencePredictions, compare, run_artifact
from pipeline.config.fields import load_section
from pipeline.config.params import ConvertParams
from pipeline.data.finished_work import mark_finished
from pipeline.data.hashing import content_hash, sha256_of, size_of
from pipeline.data.machine_figures import Figures
from pipeline.data.records import Artifact, Artifacts, ConvertInputs, Image, Record, Tensor
from pipeline.data.shards import load_batch
from pipeline.data.storage import atomic_folder, check_replaceable, read_json, write_json
from pipeline.data.stratified_subset import choose_rows
from pipeline.data.work_cache import WorkCache, link, open_work, work_key
from pipeline.errors import DataError, ModelError, UnmeasurableError, report_kept
from pipeline.metrics.decision_threshold import Costs, OperatingPoint, align_log_odds, choose_operating_point
from pipeline.train.branch_fusion import fuse_branches
from pipeline.train.model import Checkpoint, CheckpointConfig, PortableClassifier, predict

ARTIFACT_JSON = "artifact.json"
RECORD = "recipe.json"
"""Name of ``ConvertedRecipe`` in an entry of the work area."""
Figure = int | float | str | None
MIN_FLOAT_AGREEMENT = 0.999
MAX_FLOAT_DIFFERENCE = 1e-3


@dataclass(frozen=True, slots=True)
class ConvertRows:
    """Images of the stage, and the policy's part in its artifacts.

    Attributes:
        images: Folder of shards.
        calibration: Training rows to choose calibration images from.
        parity: Validation rows to choose images to compare on from.
        question: The policy's question, for the metadata of the artifacts.
        costs: Costs of errors and of abstention, from which each artifact's threshold and retake band follow.
        policy: ``content_hash`` of the whole policy.
    """

    images: Path
    calibration: Sequence[Image]
    parity: Sequence[Image]
    question: str = ""
    costs: Costs = field(default_factory=Costs)
    policy: str = ""


class ConvertedRecipe(Record):
    """One exported recipe, as an entry of the work area records it.

    Attributes:
        artifact: Its entry of artifact.json; None if it was left out, because this machine cannot find its 8 bits.
        metrics: Its part of metrics/convert-FORMAT.json; where the machine cannot run it, parity is null and
            ``unmeasured`` gives the reason.
        seconds: Duration of the export.
    """

    artifact: Artifact | None
    metrics: dict[str, Figure]
    seconds: float


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
    """Export every recipe of one format, load it again in its runtime and compare it with the checkpoint.

    Args:
        params: Section ``convert`` of params.yaml; the format validates its own part.
        format_name: Name of a folder of export/formats/.
        checkpoint: What is exported, and the reference of the comparison.
        rows: Images to calibrate and to compare on.
        out: Folder to write; replaced as a whole once all recipes have passed.

    Raises:
        ParamsError: There is no such format, or its section is wrong.
        DataError: There are no images to calibrate or to compare on.
        ModelError: A recipe cannot be exported, or a float32 artifact decides differently from the checkpoint.
    """
    artifact_format = open_format(format_name)
    section = load_section(
        artifact_format.Params, params.formats.get(format_name, {}), f"convert.formats.{format_name}"
    )
    own = _own_files(artifact_format)
    check_replaceable(out, own)
    console = Console(stderr=True)
    job = _job(params, checkpoint, rows, lambda line: console.print(f"convert {format_name}: {line}"))
    costs = rows.costs.by_rule(checkpoint.config.decision)
    conversion = _Conversion(artifact_format, format_name, section, job, checkpoint.config, costs)
    cache = open_work(work_area_of(out), _work_key(params.of_format(format_name), conversion, rows))
    with report_kept(lambda: _kept(section.recipes, cache)):
        for recipe in section.recipes:
            if cache.has(recipe):
                console.print(f"convert {format_name} {recipe}: exported by an interrupted run")
                continue
            console.print(f"convert {format_name} {recipe}: exporting")
            with cache.write_folder(recipe) as folder:
                write_json(folder / RECORD, conversion.export(recipe, folder))
    entries = {recipe: read_json(cache.path(recipe) / RECORD, ConvertedRecipe) for recipe in section.recipes}
    inputs = ConvertInputs(policy=rows.policy, params=content_hash(params.of_format(format_name)))
    artifacts = tuple(entry.artifact for entry in entries.values() if entry.artifact)
    listed = Artifacts(format=format_name, artifacts=artifacts, inputs=inputs)
    with atomic_folder(out, cache.folder, own=own) as folder:
        for artifact in artifacts:
            link(cache.path(artifact.recipe) / artifact.file, folder / artifact.file)
        write_json(folder / ARTIFACT_JSON, listed)
    mark_finished(cache, out)
    metrics = {recipe: entry.metrics for recipe, entry in entries.items()}
    return ConvertResult(listed, metrics, {recipe: {"seconds": entry.seconds} for recipe, entry in entries.items()})


def _own_files(artifact_format: Format) -> tuple[str, ...]:
    """Patterns of the files in OUT/FORMAT."""
    suffixes = sorted({artifact_format.suffix(recipe) for recipe in artifact_format.RECIPES})
    return ARTIFACT_JSON, *(f"*{suffix}{rest}" for suffix in suffixes for rest in ("", "/*"))


def _kept(recipes: Sequence[str], cache: WorkCache) -> str:
    done = sum(cache.path(recipe).exists() for recipe in recipes)
    return f"{done} of {len(recipes)} recipes are kept in {cache.folder.parent}"


def work_area_of(out: Path) -> Path:
    """Return the work area of OUT/FORMAT: OUT.FORMAT.work beside OUT, because DVC stages depend on all of OUT."""
    return out.parent.with_name(f"{out.parent.name}.{out.name}.work")


@dataclass(frozen=True, slots=True)
class _Conversion:
    """What the recipes of one format share."""

    artifact_format: Format
    name: str
    section: Any  # the format's own ``Params``
    job: ExportJob
    config: CheckpointConfig
    costs: Costs

    def export(self, recipe: str, folder: Path) -> ConvertedRecipe:
        """Export one recipe into a folder, load it again and compare it with the checkpoint.

        An artifact that this machine cannot run is kept, with the checkpoint's operating point. A recipe whose 8 bits
        can only be found by running it is left out.
        """
        path = folder / f"{recipe}{self.artifact_format.suffix(recipe)}"
        started = time.perf_counter()
        try:
            with _one_line_error(f"{self.config.backbone} cannot be exported to {self.name} {recipe}"):
                quantisation = self.artifact_format.export(self.job, recipe, self.section, path)
        except UnmeasurableError as error:
            self.job.report(f"{recipe} is left out: {error}")
            return ConvertedRecipe(artifact=None, metrics=_no_parity(error), seconds=_seconds_since(started))
        seconds = _seconds_since(started)
        point = choose_operating_point(self.config.temperature, self.costs, len(self.config.labels))
        parity: dict[str, Figure]
        try:
            probabilities = _predict(self.artifact_format, path, recipe, self.job.reference, self.config)
            parity = asdict(_check(path, recipe, self.job.reference, probabilities))
            point = _transfer(point, self.job.reference, probabilities)
        except UnmeasurableError as error:
            self.job.report(f"{recipe} is kept with the checkpoint's threshold, and is unmeasured: {error}")
            parity = _no_parity(error)
        _annotate(self.artifact_format, path, self.job, Decision(point.threshold, point.abstention_band))
        decision = {"threshold": point.threshold, "retake_band": point.abstention_band, "quantisation": quantisation}
        artifact = _record(self.artifact_format, self.name, recipe, path, self.config).model_copy(update=decision)
        in_float = {"float_ops": len(quantisation.float_ops)} if quantisation else {}
        metrics = {**parity, **in_float, "size_bytes": size_of(path)}
        return ConvertedRecipe(artifact=artifact, metrics=metrics, seconds=seconds)


def _seconds_since(started: float) -> float:
    return round(time.perf_counter() - started, 2)


def _no_parity(error: UnmeasurableError) -> dict[str, Figure]:
    """Figures of a recipe that this machine cannot run: null, and the reason."""
    return {**dict.fromkeys(each.name for each in fields(Parity)), "unmeasured": str(error)}


def _work_key(params: ConvertParams, conversion: _Conversion, rows: ConvertRows) -> str:
    """Hash all that one recipe's artifact depends on; which other recipes there are is not among it."""
    inputs = {
        "params": params.model_dump(mode="json", exclude={"formats"}),
        "section": conversion.section.model_dump(mode="json", exclude={"recipes"}),
        "checkpoint": conversion.config,
        "calibration": [[image.id, image.label, image.sha256] for image in rows.calibration],
        "parity": [[image.id, image.label, image.sha256] for image in rows.parity],
        "question": rows.question,
        "costs": rows.costs,
    }
    packages = ("gossamer", "numpy", "torch", *conversion.artifact_format.TOOLS)
    return work_key(inputs, (__name__, f"export.formats.{conversion.name}"), packages)


def _job(params: ConvertParams, checkpoint: Checkpoint, rows: ConvertRows, report: Callable[[str], None]) -> ExportJob:
    spec = checkpoint.config.preprocess
    chosen = choose_rows(rows.calibration, params.calibration_images, params.seed)
    if not chosen:
        raise DataError("no image to calibrate on; expected training rows; run dvc repro split")
    if {row.label for row in chosen} != set(checkpoint.config.labels):
        found = " and ".join(sorted({row.label for row in chosen}))
        raise DataError(
            f"{len(chosen)} images to calibrate on, all {found}; expected some of each of "
            f"{', '.join(checkpoint.config.labels)}: raise params.yaml convert.calibration_images, or train again"
        )
    metadata = {
        "author": "Gossamer",
        "license": "Apache-2.0",
        "version": checkpoint.config.checkpoint_id[:12],
        "description": rows.question or f"Classifies an image as {' or '.join(checkpoint.config.labels)}",
        "checkpoint_id": checkpoint.config.checkpoint_id,
    }
    return ExportJob(
        network=PortableClassifier(fuse_branches(checkpoint.network), spec).eval(),
        spec=spec,
        labels=checkpoint.config.labels,
        calibration=load_batch(rows.images, chosen, spec),
        reference=_reference(params, checkpoint, rows),
        int8=params.int8,
        metadata=metadata,
        report=report,
    )


def _reference(params: ConvertParams, checkpoint: Checkpoint, rows: ConvertRows) -> ReferencePredictions:
    """Run the checkpoint on validation images."""
    chosen = choose_rows(rows.parity, params.parity_images, params.seed)
    if not chosen:
        raise DataError("no image to compare on; expected validation rows; run dvc repro split")
    frames = load_batch(rows.images, chosen, checkpoint.config.preprocess)
    labels = checkpoint.config.labels
    targets = np.array([labels.index(row.label) for row in chosen], np.int64)
    return ReferencePredictions(frames, predict(checkpoint, frames), checkpoint.config.threshold, targets)


@contextmanager
def _one_line_error(failure: str) -> Iterator[None]:
    """Reduce a toolkit's error to one line: toolkits append pages of advice to the reason."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        reason = str(error.__cause__ or error).strip().partition("\n")[0]
        raise ModelError(f"{failure}: {reason}; try another train.backbone") from error


def _predict(
    artifact_format: Format, path: Path, recipe: str, reference: ReferencePredictions, config: CheckpointConfig
) -> NDArray[np.float32]:
    """Load an artifact in its runtime and run the validation frames: probabilities, float32 (n, labels)."""
    interface = artifact_format.describe(path)
    if interface.labels != config.labels or (interface.height, interface.width) != config.preprocess.input_size:
        raise ModelError(f"{path.name}: reads back as {interface}; expected {config.labels}, {config.preprocess}")
    frames = track(reference.frames, f"convert {recipe}: comparing", console=Console(stderr=True), transient=True)
    return run_artifact(artifact_format.load(path), frames)


def _check(path: Path, recipe: str, reference: ReferencePredictions, probabilities: NDArray[np.float32]) -> Parity:
    """Compare at the checkpoint's threshold; a float32 artifact must be equal up to the order of additions."""
    parity = compare(reference.probabilities, probabilities, reference.threshold)
    differs = parity.agreement < MIN_FLOAT_AGREEMENT or parity.max_abs_probability_diff > MAX_FLOAT_DIFFERENCE
    if recipe.startswith("float32") and differs:
        raise ModelError(
            f"{path.name}: {parity}; expected agreement of at least {MIN_FLOAT_AGREEMENT} and a difference of at most "
            f"{MAX_FLOAT_DIFFERENCE}; the converter changed the network: try another train.backbone"
        )
    return parity


def _transfer(
    point: OperatingPoint, reference: ReferencePredictions, probabilities: NDArray[np.float32]
) -> OperatingPoint:
    """Choose the artifact's own threshold and band, so that a shift by quantisation does not cost decisions.

    The checkpoint's operating point is known from all validation rows. The artifact's is that point transferred by how
    its log-odds on the compared frames relate to the checkpoint's: fitted to these few frames alone it would be noisy.
    """
    alignment = align_log_odds(reference.probabilities, probabilities, reference.targets, point.threshold)
    return point.transfer(*alignment)


def _annotate(artifact_format: Format, path: Path, job: ExportJob, decision: Decision) -> None:
    """State the decision in the artifact's own metadata, and read it back.

    Raises:
        ModelError: The file states something else afterwards.
    """
    annotate = extras_of(artifact_format).annotate
    if annotate is None:
        return
    annotate(path, decision_metadata(job.metadata, job.labels, decision))
    stated = artifact_format.describe(path).decision
    if stated != decision:
        raise ModelError(f"{path.name}: its metadata state {stated}; expected {decision}; the format is at fault")


def _record(artifact_format: Format, format_name: str, recipe: str, path: Path, config: CheckpointConfig) -> Artifact:
    interface = artifact_format.describe(path)
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
        tools={**tool_versions(artifact_format), "gossamer": _own_version()},
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

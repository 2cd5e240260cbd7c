"""What each export recipe costs in accuracy, per backbone, compared with the defaults of each toolkit.

Every backbone learns from the same curated images, is converted to every recipe of params.yaml, and is tested on the
same rendered selfies in each format's own runtime (Core ML in our interpreter). Beside each 8-bit recipe stands the
artifact that the toolkit's defaults make from the same weights and calibration images.

With a folder of photographs, backbones with pretrained weights are also fine-tuned on one part of them, and their
artifacts are tested on the rest.

Reads params.yaml, policies/ and the code; leaves its work in the work area.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from benchmarks.evaluation.estimates import Estimate
from benchmarks.evaluation.inference import (
    EvaluationSet,
    artifact_name,
    check_evaluation_set,
    local_runtimes,
    read_artifacts,
    read_reference,
    run_inference,
)
from benchmarks.evaluation.predictions import CHECKPOINT as CHECKPOINT_COLUMN
from benchmarks.evaluation.predictions import Predictions, read_predictions, write_predictions
from benchmarks.evaluation.selfie_sets import read_selfie_sets
from benchmarks.experiment_harness.course import (
    ARTIFACTS,
    CHECKPOINT,
    IMAGES,
    ROWS,
    SELFIES,
    Experiment,
    StageFolder,
    open_experiment,
)
from benchmarks.experiment_harness.results import ResultRecord
from benchmarks.experiment_harness.toolkit_defaults import export_toolkit_defaults
from benchmarks.experiment_harness.training_run import FULL_TRAINING, PREDICTIONS
from benchmarks.experiment_harness.workspace import ReportProgress, Step, run_steps
from pipeline.config.fields import Positive, Section, Seed, Share
from pipeline.data.records import Image, Record
from pipeline.data.shards import INDEX, load_batch
from pipeline.data.storage import read_json, read_rows, write_json
from pipeline.data.stratified_subset import choose_rows
from pipeline.metrics.classification import false_negative_rate
from pipeline.metrics.statistics import wilson_interval
from pipeline.train.model import load_checkpoint

RESULT = "exports"

SIZES = Path("sizes.json")
_PHOTOGRAPHS = "photographs"
_TRAINING_PART = 0.6
"""Share of the photographs that is used for training."""
_FINE_TUNING = {"learning_rate": 0.001, "epochs": 20}
"""A few hundred photographs need a low learning rate from pretrained weights."""


class Params(Section):
    """What is trained and converted.

    Attributes:
        backbones: Backbones by their names in timm.
        images: Number of prompts.
        generator: Generator of the images.
        selfies: Number of test selfies.
        sure: A decision counts as sure if the checkpoint's probability differs from the threshold by more than this.
        seed: Seed of the prompts.
        photographs: Folder of LABEL/*.jpg; None: no training on photographs.
        weights: Folder of pretrained weights BACKBONE.safetensors, trained with TensorFlow's padding.
    """

    backbones: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "mobilenetv3_small_100",
        "mobilenetv2_100",
        "mobilenetv4_conv_small",
        "tf_efficientnet_lite0",
    )
    images: Positive = 6400
    generator: Literal["stable_diffusion", "rendered"] = "stable_diffusion"
    selfies: Positive = 2000
    sure: Share = 0.1
    seed: Seed = 2312
    photographs: Path | None = None
    weights: Path | None = None

    @model_validator(mode="after")
    def _photographs_need_weights(self) -> Self:
        if self.photographs is not None and not self.pretrained_backbones():
            raise ValueError(
                f"weights: {self.weights}; expected a folder with one of {', '.join(self.backbones)}.safetensors, "
                "which training on photographs starts from"
            )
        return self

    def pretrained_backbones(self) -> tuple[str, ...]:
        """Backbones with pretrained weights; none without photographs."""
        if self.photographs is None or self.weights is None:
            return ()
        return tuple(name for name in self.backbones if (self.weights / f"{name}.safetensors").is_file())


class Sizes(Record):
    """Artifact -> size in bytes, including the artifacts of the toolkits' defaults."""

    size_bytes: dict[str, int]


class CheckpointResult(ResultRecord):
    """The float checkpoint: accuracy with its 95 % Wilson interval, and false negative rate."""

    accuracy: Estimate
    fnr: float


class ArtifactResult(ResultRecord):
    """An artifact compared with its checkpoint on the same selfies; only the size if its answers are unusable.

    Attributes:
        accuracy_drop_points: Accuracy lost, in points.
        agreement: Share of equal decisions.
        agreement_sure: Share of equal decisions among the checkpoint's sure ones; None if it has none.
        max_abs_probability_diff: Largest absolute difference of any probability.
        fnr: False negative rate.
        size_bytes: Size of the file or package.
        arm64_instructions: Not measured here.
    """

    accuracy_drop_points: float | None = None
    agreement: float | None = None
    agreement_sure: float | None = None
    max_abs_probability_diff: float | None = None
    fnr: float | None = None
    size_bytes: int
    arm64_instructions: int | None


class BackboneResult(ResultRecord):
    """The checkpoint and the artifacts of one backbone."""

    INLINE: ClassVar[str] = "artifacts"

    checkpoint: CheckpointResult
    artifacts: dict[str, ArtifactResult]


class Result(ResultRecord):
    """Backbone -> result; the same for those trained on photographs, if there are any."""

    INLINE: ClassVar[str] = "backbones"

    backbones: dict[str, BackboneResult]
    photographs: dict[str, BackboneResult] | None = None


def run(params: Params, work: Path, report_progress: ReportProgress) -> Result:
    """Generate, curate, train, convert and test.

    Raises:
        ParamsError: The checkout's params.yaml is missing or wrong.
        DataError: A command failed.
    """
    experiment = open_experiment(params, work)
    run_steps(list(plan(experiment)), report_progress)
    backbones = {name: read_backbone(work / name, params.sure) for name in params.backbones}
    photographs = {
        name: read_backbone(work / f"{_PHOTOGRAPHS}-{name}", params.sure) for name in params.pretrained_backbones()
    }
    return Result(backbones=backbones, photographs=photographs) if photographs else Result(backbones=backbones)


def plan(experiment: Experiment[Params]) -> Iterator[Step]:
    """List all steps in order: images and selfies, then training, conversion and test of each backbone."""
    params = experiment.params
    data = _open(experiment, "data")
    yield from (data.selfies(), data.prompts(), data.generate(), data.curate(), data.split())
    for backbone in params.backbones:
        yield from _plan_backbone(experiment, _open(experiment, backbone, backbone), data)
    if params.pretrained_backbones():
        photographs = _open_photographs(experiment, f"{_PHOTOGRAPHS}-data")
        yield photographs.selfies()
        generate = photographs.generate(Path("none"), ())
        yield generate
        yield photographs.split(IMAGES / INDEX, (generate.name,))  # labels of photographs are certain: no curation
        for backbone in params.pretrained_backbones():
            folder = _open_photographs(experiment, f"{_PHOTOGRAPHS}-{backbone}", backbone)
            yield from _plan_backbone(experiment, folder, photographs)


def read_backbone(folder: Path, sure: float) -> BackboneResult:
    """Compare all artifacts of a folder with its checkpoint."""
    table = read_predictions(folder / PREDICTIONS)
    sizes = read_json(folder / SIZES, Sizes).size_bytes
    correct = table.decisions(CHECKPOINT_COLUMN) == table.targets
    low, high = wilson_interval(int(correct.sum()), len(correct))
    checkpoint = CheckpointResult(
        accuracy=Estimate(value=float(correct.mean()), low=low, high=high), fnr=_fnr(table, CHECKPOINT_COLUMN)
    )
    artifacts = {
        name: compare_artifact(table, name, sure, size)
        if table.is_whole(name)
        else ArtifactResult(size_bytes=size, arm64_instructions=None)
        for name, size in sizes.items()
    }
    return BackboneResult(checkpoint=checkpoint, artifacts=artifacts)


def compare_artifact(table: Predictions, name: str, sure: float, size_bytes: int) -> ArtifactResult:
    """Compare the predictions of an artifact with the checkpoint's on the same selfies.

    Args:
        table: Predictions of all artifacts.
        name: The artifact.
        sure: Distance between probability and threshold above which the checkpoint's decision counts as sure.
        size_bytes: Size of the artifact.
    """
    decided, reference = table.decisions(name), table.decisions(CHECKPOINT_COLUMN)
    probabilities = table.probabilities[CHECKPOINT_COLUMN]
    is_sure = np.abs(probabilities[:, -1] - table.thresholds[CHECKPOINT_COLUMN]) > sure
    equal = decided == reference
    drop = float((reference == table.targets).mean()) - float((decided == table.targets).mean())
    return ArtifactResult(
        accuracy_drop_points=100 * drop,
        agreement=float(equal.mean()),
        agreement_sure=float(equal[is_sure].mean()) if is_sure.any() else None,
        max_abs_probability_diff=float(np.abs(table.probabilities[name] - probabilities).max()),
        fnr=_fnr(table, name),
        size_bytes=size_bytes,
        arm64_instructions=None,
    )


def _fnr(table: Predictions, column: str) -> float:
    return false_negative_rate(table.decisions(column), table.targets, len(table.labels) - 1)


def _open(experiment: Experiment[Params], name: str, backbone: str = "") -> StageFolder:
    params = experiment.params
    return experiment.open(
        name,
        {
            "dataset": {"source": "generated"},
            "prompts": {"count": params.images, "seed": params.seed, "top_up": {}},
            "generate": {"generator": params.generator, "mix": {}},
            "selfies": {"count": params.selfies},
            "train": {**FULL_TRAINING, "backbone": backbone} if backbone else {},
        },
    )


def _open_photographs(experiment: Experiment[Params], name: str, backbone: str = "") -> StageFolder:
    """Open a folder whose params train on one part of the photographs and test on the rest."""
    params = experiment.params
    folder, weights = params.photographs, params.weights
    path = str(folder.resolve()) if folder else None
    selfies = {"name": _PHOTOGRAPHS, "folder": path, "licence": "see the folder", "part": [_TRAINING_PART, 1.0]}
    start = str((weights / f"{backbone}.safetensors").resolve()) if weights else "none"
    train = {**FULL_TRAINING, "backbone": backbone, "pretrained": start, "padding": "same", **_FINE_TUNING}
    return experiment.open(
        name,
        {
            "dataset": {"source": "photos", "folder": path, "part": [0.0, _TRAINING_PART], "seed": params.seed},
            "selfies": {"count": 0, "photographs": [selfies]},
            "measure": {"headline": _PHOTOGRAPHS},
            "train": train if backbone else {},
        },
    )


def formats(experiment: Experiment[Params]) -> tuple[str, ...]:
    """Formats of params.yaml ``convert.formats``, in alphabetical order."""
    return tuple(sorted(experiment.base.convert.formats))


def _plan_backbone(experiment: Experiment[Params], folder: StageFolder, data: StageFolder) -> Iterator[Step]:
    rows = data.path / ROWS[0], data.path / ROWS[1]
    train = folder.train(rows, data.path / IMAGES, (f"{data.name}/split",))
    yield train
    conversions = [folder.convert(name, rows, data.path / IMAGES, (train.name,)) for name in formats(experiment)]
    yield from conversions
    needs = (*(step.name for step in conversions), f"{data.name}/selfies")
    action = partial(_predict, experiment, folder.path, data.path)
    yield folder.step("test", "measure", action, (PREDICTIONS, SIZES), needs)


def _predict(experiment: Experiment[Params], folder: Path, data: Path) -> None:
    """Quantise with the toolkits' defaults as well, and write the predictions of all artifacts on the selfies.

    The checkpoint and each recipe decide at their own threshold, chosen on validation images, as they are shipped. The
    artifacts of the toolkits' defaults have no threshold of their own and use the checkpoint's.
    """
    reference, convert = read_reference(folder / CHECKPOINT), experiment.base.convert
    checkpoint = load_checkpoint(folder / CHECKPOINT)
    calibration = choose_rows(read_rows(data / ROWS[0], Image), convert.calibration_images, convert.seed)
    frames = load_batch(data / IMAGES, calibration, reference.preprocess)
    artifacts = read_artifacts(folder / ARTIFACTS)
    for name in formats(experiment):
        folders = folder / ARTIFACTS / name, folder / "plain" / name
        by_default = export_toolkit_defaults(checkpoint, convert, frames, *folders)
        artifacts += [
            (path, record.model_copy(update={"threshold": reference.threshold})) for path, record in by_default
        ]
    (selfies,) = read_selfie_sets(data / SELFIES).values()
    evaluation_set = EvaluationSet(reference, artifacts, selfies.folder, selfies.rows, card=selfies.card)
    check_evaluation_set(evaluation_set)
    table, _ = run_inference(evaluation_set, local_runtimes(), threads=1, workers=experiment.base.measure.workers)
    write_predictions(folder / PREDICTIONS, table)
    sizes = {artifact_name(record): record.size_bytes for _, record in artifacts}
    write_json(folder / SIZES, Sizes(size_bytes=sizes))

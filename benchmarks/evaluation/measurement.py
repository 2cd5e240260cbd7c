"""metrics/measure.json as a typed record: ``measure`` writes it; gate, baseline, report, bundle and comment read it.

It holds figures of the result only. Times and memory of this machine stand apart (``machine_figures``).
A figure that could not be measured is None (null), never 0 and never NaN, and ``unmeasured`` gives the reason by place.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from benchmarks.evaluation.estimates import Count, Estimate, FlatRecord, Number
from benchmarks.evaluation.predictions import CHECKPOINT
from benchmarks.evaluation.selfie_sets import Source
from pipeline.config.selfie_params import RENDERED
from pipeline.data.records import MeasureInputs, Record
from pipeline.errors import DataError

REMEASURE = "dvc repro measure"


class AccuracyFigures(FlatRecord):
    """Quality of the decisions of one column of predictions; all None where the predictions cannot be used.

    Attributes:
        accuracy: Share of selfies decided correctly, with its Wilson interval.
        fnr: False negative rate: share of the positive label's selfies that were decided otherwise.
        fpr: False positive rate: share of the other selfies that were decided to be positive.
        auc: Area under the ROC curve of the positive label's probability.
        ece: Expected calibration error.
    """

    accuracy: Estimate | None
    fnr: Number | None
    fpr: Number | None
    auc: Number | None
    ece: Number | None

    @property
    def balanced_accuracy(self) -> float | None:
        """Mean of the accuracies on both kinds of selfies, positive or not, which does not depend on their numbers."""
        return None if self.fnr is None or self.fpr is None else 1 - (self.fnr + self.fpr) / 2


class ParityFigures(Record):
    """An artifact beside the checkpoint it was converted from.

    Attributes:
        agreement: Share of selfies on which both decide alike.
        max_abs_probability_diff: Largest absolute difference of any probability.
    """

    agreement: Number | None
    max_abs_probability_diff: Number | None


class AbstentionFigures(Record):
    """What the retake band does; a decision inside it is withheld and the phone takes another picture.

    Attributes:
        abstention_rate: Share of selfies whose probability lies inside the band; 0 without a band.
        selective_accuracy: Accuracy on the selfies outside the band.
    """

    abstention_rate: Number | None
    selective_accuracy: Number | None


class CameraFigures(FlatRecord):
    """One model under a phone camera's distortions, on the selfies that artifacts are run on (``camera_basis``).

    Attributes:
        camera_accuracy: Mean accuracy over the distortions; the interval treats pictures of one selfie as dependent.
        camera_drop: Accuracy on the undistorted selfies minus ``camera_accuracy``.
        camera_agreement: Share of distorted selfies on which it decides as the checkpoint does.
        mean_corruption_error: Mean error over the checkpoint's error on undistorted selfies; 1 is no harm.
    """

    camera_accuracy: Estimate | None = None
    camera_drop: Number | None = None
    camera_agreement: Number | None = None
    mean_corruption_error: Number | None = None


class Arm64Figures(FlatRecord):
    """An artifact on ARM, where the ARM lab is set up; its selfies are fewer (``ArmLab.selfies``).

    Attributes:
        arm64_instructions: Instructions of one inference on a Cortex-A76, or natively on this ARM machine.
        arm64_instructions_a53: The same on a Cortex-A53.
        arm64_accuracy: Accuracy of ARM's kernels.
        arm64_host_accuracy: Accuracy of this machine's own kernels on the same selfies.
        arm64_agreement: Share of these selfies on which both decide alike.
        arm64_max_abs_probability_diff: Largest absolute difference between their probabilities.
    """

    arm64_instructions: Count | None = None
    arm64_instructions_a53: Count | None = None
    arm64_accuracy: Estimate | None = None
    arm64_host_accuracy: Number | None = None
    arm64_agreement: Number | None = None
    arm64_max_abs_probability_diff: Number | None = None


class CheckpointFigures(CameraFigures, AccuracyFigures):
    """The float checkpoint that all artifacts were converted from.

    Attributes:
        id: Checkpoint id.
        parameters: Number of parameters; None where it was not counted.
        macs: Multiply-accumulate operations of one inference.
        mean_corruption_error_all_severities: As ``mean_corruption_error``, over all severities and camera selfies.
    """

    id: str
    parameters: Count | None = None
    macs: Count | None = None
    mean_corruption_error_all_severities: Number | None = None


class ModelFile(Record):
    """One exported model file or package.

    Attributes:
        format: Export format, e.g. "onnx".
        recipe: Quantisation recipe, e.g. "static_wi8_ai8".
        sha256: SHA-256 of the file or package.
        size_bytes: Its size.
    """

    format: str
    recipe: str
    sha256: str
    size_bytes: Count

    @property
    def name(self) -> str:
        """Name in metrics, checks and the predictions table."""
        return f"{self.format}-{self.recipe}"


class ArtifactFigures(Arm64Figures, CameraFigures, AbstentionFigures, ParityFigures, AccuracyFigures, ModelFile):
    """All figures of one artifact: one flat row, stored in the order from ``ModelFile`` to ``Arm64Figures``."""


class SliceFigures(FlatRecord):
    """The selfies that share a factor's value, or a pair of values.

    Attributes:
        count: Number of selfies.
        accuracy: The checkpoint's accuracy; None, like all other figures, where ``count`` is below the minimum.
        fnr: The checkpoint's false negative rate; None also where no selfie has the positive label.
        fpr: The checkpoint's false positive rate.
        artifacts: Artifact -> its accuracy on these selfies.
    """

    count: Count
    accuracy: Estimate | None = None
    fnr: Number | None = None
    fpr: Number | None = None
    artifacts: dict[str, Number] = Field(default_factory=dict)


class EqualisedOdds(Record):
    """Differences between the checkpoint's error rates on the values of one factor.

    Attributes:
        gap: The larger of both gaps.
        fnr_gap: Largest minus smallest false negative rate among the values.
        fpr_gap: The same of false positive rates.
        fnr_worst: Value with the largest false negative rate.
        fpr_worst: Value with the largest false positive rate.
    """

    gap: Number
    fnr_gap: Number
    fpr_gap: Number
    fnr_worst: str
    fpr_worst: str


class ExpectedCost(Record):
    """Expected cost of wrong decisions per 1,000 checks, in the policy's unit: overall, and by scenario."""

    overall: Number
    by_scenario: dict[str, Number]


class DistortionFigures(FlatRecord):
    """One distortion at one severity, or one integration error.

    Attributes:
        count: Selfies the checkpoint was run on.
        accuracy: The checkpoint's accuracy on them.
        artifact_selfies: Selfies the artifacts were run on, the first of the same; 0 where none was.
        checkpoint_accuracy: The checkpoint's accuracy on those.
        artifacts: Artifact -> its accuracy on those.
    """

    count: Count
    accuracy: Estimate
    artifact_selfies: Count = 0
    checkpoint_accuracy: Number | None = None
    artifacts: dict[str, Number] = Field(default_factory=dict)


class CameraBasis(FlatRecord):
    """What the camera's figures stand on.

    Attributes:
        selfies: Selfies the checkpoint was run on.
        artifact_selfies: Selfies each artifact was run on.
        severity: Severity of the distortions that artifacts were run on.
        mean_accuracy: The checkpoint's mean accuracy over the distortions at this severity, on all ``selfies``.
        clean_accuracy: The checkpoint's accuracy on the same selfies without distortion.
        seed: Seed of the distortions.
        example: Id of a selfie that shows the distortions well.
    """

    selfies: Count
    artifact_selfies: Count
    severity: Count
    mean_accuracy: Number
    clean_accuracy: Estimate
    seed: int
    example: str


class ArmLab(Record):
    """The ARM lab that ran the artifacts.

    Attributes:
        id: Hash of its tools; the same id counts the same instructions.
        emulated: Whether it emulates ARM on another architecture.
        cpus: Processor models it counts instructions of.
        selfies: Selfies it ran each artifact on.
    """

    id: str
    emulated: bool
    cpus: tuple[str, ...]
    selfies: Count


class SelfieSet(Record):
    """A test set.

    Attributes:
        count: Number of selfies.
        dataset_id: Id of the set.
        labels: Label -> number of selfies.
        name: Its name.
        source: Whether they were rendered, which gives each its factors, or are photographs; None if unknown.
        licence: The licence that photographs are used under.
        note: What its owner says about it.
    """

    count: Count
    dataset_id: str
    labels: dict[str, Count]
    name: str = RENDERED
    source: Source | None = None
    licence: str = ""
    note: str = ""

    @property
    def is_photographs(self) -> bool:
        """Whether it shows real faces."""
        return self.source == "photos"


class SetFigures(Record):
    """All figures on one test set.

    Attributes:
        selfies: The test set.
        checkpoint: Figures of the float checkpoint.
        artifacts: Artifact name -> its figures.
        slices: Factor -> value -> figures.
        slice_pairs: "FACTOR x FACTOR" -> "VALUE x VALUE" -> figures.
        equalised_odds: Factor -> gaps; only factors whose values can be compared.
        confusion: True label -> decided label -> number of selfies, of the checkpoint.
        cost_per_1000: Column (checkpoint or artifact) -> cost; empty where no selfie has a scenario with costs.
        unmeasured: Place -> why the figures there are missing.
    """

    selfies: SelfieSet
    checkpoint: CheckpointFigures
    artifacts: dict[str, ArtifactFigures]
    slices: dict[str, dict[str, SliceFigures]] = Field(default_factory=dict)
    slice_pairs: dict[str, dict[str, SliceFigures]] = Field(default_factory=dict)
    equalised_odds: dict[str, EqualisedOdds] = Field(default_factory=dict)
    confusion: dict[str, dict[str, Count]] = Field(default_factory=dict)
    cost_per_1000: dict[str, ExpectedCost] = Field(default_factory=dict)
    unmeasured: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        for name, row in self.artifacts.items():
            if name != row.name:
                raise PydanticCustomError("name", f"the figures of {name} under artifacts.{name}, not of {row.name}")
        return self

    @property
    def columns(self) -> dict[str, CheckpointFigures | ArtifactFigures]:
        """Column of the predictions table -> its figures; the checkpoint's first."""
        return {CHECKPOINT: self.checkpoint, **self.artifacts}


class Measurement(SetFigures):
    """metrics/measure.json. The figures at its top level are those on the headline, which the verdict stands on.

    Attributes:
        labels: In the order of the probabilities; the last is the positive one.
        confidence: Two-sided level of every interval, in (0, 1).
        threads: Threads each artifact is timed with.
        threads_many: Threads of the second timing.
        camera: Distortion -> severity -> figures; like the next three, on the headline only.
        camera_basis: What ``camera`` and ``integration_errors`` stand on; None where neither was measured.
        integration_errors: Error an app may make when it feeds a frame -> figures.
        arm64: The ARM lab; None where none was used.
        sets: Name -> figures of every test set, the headline's included; empty where there is no other.
        inputs: What it was made of; None in a file of an earlier version, which no release accepts.
    """

    labels: tuple[str, ...]
    confidence: Annotated[Number, Field(gt=0, lt=1)]
    threads: Count = 1
    threads_many: Count = 1
    camera: dict[str, dict[int, DistortionFigures]] = Field(default_factory=dict)
    camera_basis: CameraBasis | None = None
    integration_errors: dict[str, DistortionFigures] = Field(default_factory=dict)
    arm64: ArmLab | None = None
    sets: dict[str, SetFigures] = Field(default_factory=dict)
    inputs: MeasureInputs | None = None

    @model_validator(mode="after")
    def _check_sets(self) -> Self:
        for name, figures in self.sets.items():
            if name != figures.selfies.name:
                raise PydanticCustomError(
                    "set", f"the figures of {name} under sets.{name}, not of {figures.selfies.name}"
                )
        if self.sets and self.sets.get(self.headline, self).selfies != self.selfies:
            raise PydanticCustomError("set", f"the same test set under selfies and under sets.{self.headline}")
        return self

    @property
    def headline(self) -> str:
        """Name of the test set that the verdict stands on."""
        return self.selfies.name

    @property
    def every_set(self) -> dict[str, SetFigures]:
        """Name -> figures of every test set; the headline's first."""
        return {self.headline: self, **self.other_sets}

    @property
    def other_sets(self) -> dict[str, SetFigures]:
        """Name -> figures of every test set but the headline."""
        return {name: figures for name, figures in self.sets.items() if name != self.headline}

    @property
    def photograph_sets(self) -> dict[str, SetFigures]:
        """Name -> figures of the test sets that show real faces."""
        return {name: figures for name, figures in self.every_set.items() if figures.selfies.is_photographs}


def read_measurement(path: Path, command: str = REMEASURE) -> Measurement:
    """Read metrics/measure.json, or a copy of it.

    Args:
        path: The file.
        command: The next command that an error names.

    Raises:
        DataError: The file is missing, damaged, or no such record; names the place, what was found and expected.
    """
    if not path.is_file():
        raise DataError(f"{path}: missing; expected a measurement; run {command}")
    try:
        return Measurement.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise DataError(f"{path}: {_first_problem(error)}; run {command}") from error


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    place = ".".join(map(str, problem["loc"])) or "the file"
    if problem["type"] == "missing":
        return f"{place}: missing; expected a figure or null"
    if problem["type"] == "extra_forbidden":
        return f"{place}: unknown key; expected a file that this version of Gossamer wrote"
    found = repr(problem["input"])
    shown = found if len(found) <= 60 else f"{found[:57]}..."
    return f"{place}: found {shown}; expected {problem['msg'].removeprefix('Input should be ')}"

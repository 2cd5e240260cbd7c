"""Reads params.yaml into a frozen, typed ``Params``; comments in params.yaml explain every value.

Each stage has one section, named as the stage. An unknown key or a value out of range raises a ``ParamsError`` that
names the key. The subsection of a plug-in (generator, verifier or format) is validated against the plug-in's own
``Params`` by the stage that opens the plug-in.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationError, model_validator

from pipeline.config.fields import (
    Growth,
    Margin,
    Natural,
    Part,
    PlugInSection,
    Positive,
    Rgb,
    Section,
    Seed,
    Share,
    Std,
    Threads,
    explain,
)
from pipeline.config.selfie_params import RENDERED, SelfiesParams, SetName
from pipeline.config.yaml_file import read_yaml
from pipeline.errors import ParamsError
from pipeline.machine import plugins

PlugInName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]


class DatasetParams(Section):
    """Source of the training images; ``part`` selects a share of the photographs, whole groups at a time."""

    source: Literal["generated", "photos"]
    folder: Path | None
    part: Part
    seed: Seed


class PromptsParams(Section):
    """Number of prompts and their seed.

    Attributes:
        count: Number of prompts.
        seeds_per_caption: Prompts per caption.
        seed: Seed of the scenes.
        top_up: Slice ``factor=value`` -> number of further prompts.
        allow_unknown_words: Whether a policy may have labels whose words the generator has not learned.
    """

    count: Positive
    seeds_per_caption: Positive
    seed: Seed
    top_up: dict[str, Positive] = Field(default_factory=dict)
    allow_unknown_words: bool = False


class GenerateParams(PlugInSection):
    """The generators and the number of processes; a generator's subsection has everything else, such as the image size.

    Attributes:
        generator: Draws all scenes that ``mix`` does not give to another one.
        mix: Further generators, and the share of the scenes that each draws instead.
    """

    plug_ins = "pipeline.generate.generators"

    generator: str
    mix: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(default_factory=dict)
    images_per_shard: Positive
    workers: Threads

    @model_validator(mode="after")
    def _parts_of_one(self) -> Self:
        if self.generator in self.mix:
            raise ValueError(f"mix.{self.generator}: is generate.generator; expected another generator")
        if sum(self.mix.values()) > 1:
            raise ValueError(f"mix: shares add up to {sum(self.mix.values()):g}; expected at most 1")
        return self

    @property
    def generators(self) -> tuple[str, ...]:
        """All generators that draw, the main one first."""
        return (self.generator, *self.mix)


class CurateParams(PlugInSection):
    """Thresholds on scores in [0, 1] (0 disables a check), the verifier, and the folds of the out-of-fold probes."""

    plug_ins = "pipeline.curate.verifiers"

    seed: Seed
    workers: Threads
    verifier: str
    folds: Annotated[int, Field(ge=2)]
    repeats: Positive
    dark: Share
    light: Share
    blurry: Share
    low_information: Share
    near_duplicate: Share
    label_error: Share
    out_of_sample: Share
    sheet_images: Positive


class SplitParams(Section):
    """Share of groups that are held out for validation."""

    val_fraction: Annotated[float, Field(gt=0, lt=1)]
    seed: Seed


class TrainParams(Section):
    """The backbone, its input and its training.

    Attributes:
        method: "full" trains all weights; "head" keeps the backbone and fits class directions to its features, with
            ``epochs`` augmented passes over the images.
        pretrained: "none", "package", "hub", or the path of a safetensors file.
        expert: Whether a head has a branch for pictures like those of the training (``pipeline.train.head.expert``).
        decision: How the threshold is chosen (``pipeline.metrics.decision_threshold``).
    """

    method: Literal["full", "head"]
    backbone: str
    pretrained: str
    padding: Literal["symmetric", "same"]
    input_height: Annotated[int, Field(ge=32)]
    input_width: Annotated[int, Field(ge=32)]
    fit: Literal["crop", "pad"]
    mean: Rgb
    std: Std
    epochs: Positive
    batch_size: Positive
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    warmup_epochs: Natural
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    ema_decay: Annotated[float, Field(ge=0, lt=1)]
    augment: Share
    expert: bool
    decision: Literal["balanced", "costs"]
    threads: Threads
    device: Literal["auto", "cpu", "cuda", "mps"]
    seed: Seed


class Int8Params(Section):
    """Limits of the search for 8-bit activations.

    Attributes:
        max_log_odds_error: Largest root mean square difference from the checkpoint's log-odds on validation images.
        min_agreement: Smallest share of decisions equal to the checkpoint's.
        percentiles: Shares of calibration images within the range of each activation, in %, in the order of trial.
        max_float_ops: Largest number of operations that stay in float.
        sensitivity_images: Number of images on which the error of each operation is measured.
    """

    max_log_odds_error: Annotated[float, Field(gt=0)]
    min_agreement: Share
    percentiles: Annotated[tuple[Annotated[float, Field(gt=50, le=100)], ...], Field(min_length=1)]
    max_float_ops: Annotated[int, Field(ge=0)]
    sensitivity_images: Positive


class ConvertParams(Section):
    """Formats to convert to, and the images and limits that all of them share.

    Attributes:
        calibration_images: Training images from which static quantisation takes the ranges of activations.
        parity_images: Validation images on which every artifact is compared with the checkpoint.
        retake_cost: Cost of asking for another picture, in the unit of the policy's costs.
        seed: Seed of the choice of these images.
        int8: Search for 8-bit activations.
        formats: Format name -> its raw section. Which formats there are and what a section may hold is up to
            ``export.formats``: the stage validates a section against the format's own ``Params``.
    """

    RENAMED: ClassVar[Mapping[str, str]] = {name: f"formats.{name}" for name in ("coreml", "tflite", "onnx")}

    calibration_images: Positive
    parity_images: Positive
    retake_cost: Annotated[float, Field(gt=0)]
    seed: Seed
    int8: Int8Params
    formats: dict[PlugInName, dict[str, Any]]

    def of_format(self, name: str) -> ConvertParams:
        """The same section with one format alone: all that artifacts of this format depend on."""
        return self.model_copy(update={"formats": {name: self.formats.get(name, {})}})


class CameraParams(Section):
    """Numbers of selfies with a phone camera's distortions: all severities for the checkpoint, one for artifacts."""

    selfies: Natural
    artifact_selfies: Natural
    severity: Annotated[int, Field(ge=1, le=5)]
    seed: Seed


class LatencyParams(Section):
    """Length of a LoadGen run: ``quick``, or ``mlperf`` for MLPerf's 1,024 samples and 60 s; frames of the warm-up."""

    profile: Literal["quick", "mlperf"]
    warmup: Natural


class Arm64Params(Section):
    """The ARM lab: whether it is used (auto: if it is set up), its folder, and the number of selfies it runs."""

    use: Literal["auto", "required", "never"] = "auto"
    folder: Path = Path("data/arm64-lab")
    selfies: Positive = 200


class MeasureParams(Section):
    """The test set that the verdict stands on, confidence of the intervals, and the conditions of the measurements.

    Latency is measured with ``threads`` threads and again with ``threads_many``. ``workers`` processes run artifacts
    while nothing is timed; with 0, this process runs them.
    """

    headline: SetName = RENDERED
    confidence: Annotated[float, Field(gt=0, lt=1)]
    workers: Annotated[int, Field(ge=0, le=256)]
    latency: LatencyParams
    threads: Threads
    threads_many: Threads
    min_slice: Positive
    seed: Seed
    camera: CameraParams
    arm64: Arm64Params = Arm64Params()


Level = Annotated[float, Field(gt=0, lt=0.5)]


class PairedLatencyParams(Section):
    """Slowdowns that warn and that fail, and the numbers of processes and pairs in which they are measured."""

    warn: Growth
    fail: Growth
    processes: Positive
    pairs: Positive
    warmup: Natural
    seed: Seed

    @model_validator(mode="after")
    def _warning_is_not_above_failure(self) -> Self:
        if self.warn > self.fail:
            raise ValueError(f"warn: {self.warn}; expected no more than fail, which is {self.fail}")
        return self


class SetLimits(Section):
    """Limits of one test set beside the headline; null: no limit."""

    min_accuracy: Share | None = None
    min_balanced_accuracy: Share | None = None
    min_share_of_checkpoint: Share | None = None
    min_agreement: Share | None = None


class GateParams(Section):
    """Absolute limits, margins against the baseline, and the required formats; docs/decisions/011 has the tests.

    A pass is tested at level ``alpha``, a fail at ``fail_alpha``. An undecided check reports the number of selfies
    that would decide it with probability ``power``. ``max_instruction_growth`` maps a format to its limit. With
    ``require_label_verifier``, training labels that no verifier could check are unmeasured. All limits hold on the test
    set ``measure.headline``; ``sets`` maps the names of others to limits of their own.
    """

    min_accuracy: Share
    min_share_of_checkpoint: Share
    min_agreement: Share
    min_camera_accuracy: Share | None
    max_size_bytes: Positive
    required: tuple[str, ...]
    require_label_verifier: bool = True
    alpha: Level
    fail_alpha: Level
    power: Annotated[float, Field(ge=0.5, lt=1)]
    non_inferiority_margin: Margin
    max_error_ratio: Annotated[float, Field(ge=1)]
    error_slack: Annotated[float, Field(ge=0, lt=1)]
    min_slice_selfies: Positive
    slice_margin: Margin
    max_slice_fall: Margin
    slice_pairs: tuple[tuple[str, str], ...]
    max_camera_fall: Share
    max_size_growth: Growth
    max_memory_growth: Growth
    max_instruction_growth: dict[str, Growth]
    sets: dict[SetName, SetLimits] = Field(default_factory=dict)
    latency: PairedLatencyParams


class ReportParams(Section):
    """Numbers of images in the report."""

    sample_images: Natural
    worst_images: Natural


class Params(Section):
    """Everything in params.yaml."""

    policy: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=64)]
    dataset: DatasetParams
    prompts: PromptsParams
    generate: GenerateParams
    curate: CurateParams
    split: SplitParams
    train: TrainParams
    selfies: SelfiesParams
    convert: ConvertParams
    measure: MeasureParams
    gate: GateParams
    report: ReportParams

    @model_validator(mode="after")
    def _test_scenes_differ_from_training_scenes(self) -> Self:
        if self.selfies.count and self.selfies.seed == self.prompts.seed:
            raise ValueError(
                f"selfies.seed: {self.selfies.seed}, the same as prompts.seed; expected another seed: otherwise the "
                "test selfies show the scenes of the training images"
            )
        return self

    @model_validator(mode="after")
    def _named_sets_exist(self) -> Self:
        """The headline, and the sets with limits of their own, are among the test sets."""
        names, headline = self.selfies.names, self.measure.headline
        if not names:
            raise ValueError("selfies.count: 0, and selfies.photographs lists none; expected at least one test set")
        if headline not in names:
            raise ValueError(
                f"measure.headline: {headline!r}, no test set of selfies; {plugins.expected(names, headline)}"
            )
        for name in self.gate.sets:
            if name == headline:
                raise ValueError(
                    f"gate.sets.{name}: this is measure.headline, the set that all other limits of gate hold on; "
                    f"expected another set; set gate.min_accuracy and the others instead"
                )
            if name not in names:
                raise ValueError(f"gate.sets.{name}: no test set of selfies; {plugins.expected(names, name)}")
        return self


PARAMS = Path("params.yaml")


def load_params(path: Path = PARAMS) -> Params:
    """Read and check a params file.

    Raises:
        ParamsError: The file is missing or not YAML, or a key or value is wrong; the message names
            every problem.
    """
    raw = read_yaml(path, ParamsError, "run from the root of a Gossamer checkout")
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        raise ParamsError(explain(str(path), error)) from error

"""params.yaml -> frozen, typed ``Params``, parsed once.

One section a stage, named as the stage; an unknown key or a value out of range is a ``ParamsError`` that names the
place. Sections of plug-ins (generators, formats) are validated against the plug-in's own ``Params`` by the stage that
opens it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import ParamsError

Positive = Annotated[int, Field(gt=0)]
Natural = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Rgb = tuple[float, float, float]
Threads = Annotated[int, Field(gt=0, le=256)]
T = TypeVar("T", bound=BaseModel)


def _ordered(part: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= part[0] < part[1] <= 1:
        raise ValueError("expected [low, high] with 0 <= low < high <= 1")
    return part


def _positive(std: Rgb) -> Rgb:
    if min(std) <= 0:
        raise ValueError("expected three numbers above 0")
    return std


Part = Annotated[tuple[float, float], AfterValidator(_ordered)]

Std = Annotated[Rgb, AfterValidator(_positive)]


class Section(BaseModel):
    """A frozen section; an unknown key is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DatasetParams(Section):
    """Where training images come from; ``part`` is a share of the photographs, by group."""

    source: Literal["generated", "photos"]
    folder: Path | None
    part: Part
    seed: Seed


class PromptsParams(Section):
    """How many prompts, and from which seed."""

    count: Positive
    seeds_per_caption: Positive
    seed: Seed


class GenerateParams(Section):
    """Which generator draws, at which size in pixels; its own section is validated by the generator."""

    generator: str
    width: Annotated[int, Field(ge=16)]
    height: Annotated[int, Field(ge=16)]
    images_per_shard: Positive
    workers: Threads
    rendered: dict[str, Any]
    stable_diffusion: dict[str, Any]


class CurateParams(Section):
    """Thresholds of the filters, on scores in [0, 1], and the folds behind the label check."""

    seed: Seed
    folds: Annotated[int, Field(ge=2)]
    epochs: Positive
    threads: Threads
    dark: Share
    light: Share
    blurry: Share
    low_information: Share
    near_duplicate: bool
    label_error: Share
    sheet_images: Positive


class SplitParams(Section):
    """The share of groups held out for validation."""

    val_fraction: Annotated[float, Field(gt=0, lt=1)]
    seed: Seed


class TrainParams(Section):
    """The backbone, its input, and how it learns."""

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
    threads: Threads
    device: Literal["auto", "cpu", "cuda", "mps"]
    seed: Seed


class SelfiesParams(Section):
    """Portrait selfies the training never sees."""

    source: Literal["rendered", "photos"]
    count: Positive
    seed: Seed
    folder: Path | None
    part: Part
    images_per_shard: Positive


class ConvertParams(Section):
    """Calibration and parity rows; each format's own section is validated by the format."""

    calibration_images: Positive
    parity_images: Positive
    seed: Seed
    coreml: dict[str, Any]
    tflite: dict[str, Any]
    onnx: dict[str, Any]


class MeasureParams(Section):
    """Confidence of the intervals, and how latency is taken."""

    confidence: Annotated[float, Field(gt=0, lt=1)]
    latency_warmup: Natural
    latency_runs: Annotated[int, Field(ge=10)]
    threads: Threads
    min_slice: Positive
    seed: Seed


class GateParams(Section):
    """Floors, margins and the formats that must pass."""

    min_accuracy: Share
    min_agreement: Share
    max_size_bytes: Positive
    alpha: Annotated[float, Field(gt=0, lt=0.5)]
    non_inferiority_margin: Annotated[float, Field(gt=0, lt=1)]
    max_size_growth: Annotated[float, Field(ge=0)]
    required: tuple[str, ...]


class ReportParams(Section):
    """How many pictures the report shows."""

    sample_images: Natural
    worst_images: Natural


class Params(Section):
    """All of params.yaml."""

    policy: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
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


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check a params file.

    Raises:
        ParamsError: The file is missing or not YAML, or a key or value of it is wrong; names all wrong places.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ParamsError(f"{path}: missing; run from the root of a Gossamer checkout") from error
    except yaml.YAMLError as error:
        raise ParamsError(f"{path}: not YAML: {error}") from error
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        raise ParamsError(explain(str(path), error)) from error


def load_section(kind: type[T], raw: dict[str, Any], place: str) -> T:
    """Validate a plug-in's section against its own model; ``place`` is the section's name, e.g. ``convert.onnx``.

    Raises:
        ParamsError: A key or value of it is wrong.
    """
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise ParamsError(explain("params.yaml", error, place)) from error


def explain(file: str, error: ValidationError, place: str = "") -> str:
    """Say of each problem where it is, what was found and what was expected, a line each."""
    lines = []
    for problem in error.errors():
        where = ".".join([*filter(None, [place]), *map(str, problem["loc"])])
        found = "" if problem["type"] == "missing" else f": {problem['input']!r}"
        lines.append(f"{file} {where}{found}; {_expectation(problem['type'], problem['msg'])}")
    return "\n".join(lines)


def _expectation(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "no such key; expected one of those in the params.yaml that came with Gossamer"
    if kind == "missing":
        return "missing; expected a value"
    return message.replace("Input should be", "expected").replace("Value error, ", "")

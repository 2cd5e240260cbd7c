"""Report section: metrics of the stages from ``prompts`` to ``convert``, as they stand in metrics/*.json.

Reads metrics/STAGE.json, metrics/convert-FORMAT.json of every format that is there, and metrics/machine.json, which
holds times and speeds of this machine only and is missing where the stages were not run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from benchmarks.evaluation.label_verification import LabelVerification
from benchmarks.evaluation.measurement import ArtifactFigures
from benchmarks.evaluation.summary import CurationSummary, TrainingSummary
from benchmarks.report.formatting import UNMEASURED_HERE
from pipeline.data.machine_figures import MACHINE_JSON, Figures, read_machine_figures
from pipeline.data.records import Record
from pipeline.data.storage import read_json, read_metrics
from pipeline.errors import DataError

STAGES = ("prompts", "generate", "curate", "train")
_CONVERT = "convert-"
_HIDDEN = ("rejection_rate_by",)
"""Tables of hundreds of rows; the section on curation shows the rows that matter."""


class SliceRejection(Record):
    """Share of a slice's images that were rejected, with its 95 % interval; counts are ignored."""

    model_config = ConfigDict(extra="ignore")
    rate: float
    low: float
    high: float


class CurationMetrics(LabelVerification, CurationSummary):
    """The part of metrics/curate.json that the section on curation shows.

    Attributes:
        rejection_rate_by: Factor -> value -> rejection rate.
        over_rejected_slices: Slice rejected far above the average, as ``factor=value`` -> prompts that make up for it.
    """

    rejection_rate_by: dict[str, dict[str, SliceRejection]] = Field(default_factory=dict)
    over_rejected_slices: dict[str, int] = Field(default_factory=dict)


class RecipeMetrics(Record):
    """The part of one recipe's metrics in metrics/convert-FORMAT.json that the table of artifacts shows.

    Attributes:
        float_ops: Operations that int8 search left in float; None for recipes without such a search.
    """

    model_config = ConfigDict(extra="ignore")
    float_ops: int | None = None


_RECIPES = TypeAdapter(dict[str, RecipeMetrics])


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric of a stage; names of nested metrics are joined by dots."""

    name: str
    value: JsonValue


@dataclass(frozen=True, slots=True)
class StageMetrics:
    """Metrics of the stages that have run.

    Attributes:
        results: Stage -> the content of its metrics file.
        machine: Stage -> its section of metrics/machine.json.
        curation: What the section on curation needs; None where ``curate`` has not run.
        training: What metrics/summary.json needs; None where ``train`` has not run.
        recipes: Format -> recipe -> what the table of artifacts needs.
    """

    results: Mapping[str, Mapping[str, JsonValue]] = field(default_factory=dict)
    machine: Mapping[str, Figures] = field(default_factory=dict)
    curation: CurationMetrics | None = None
    training: TrainingSummary | None = None
    recipes: Mapping[str, Mapping[str, RecipeMetrics]] = field(default_factory=dict)

    def float_ops(self, artifact: ArtifactFigures) -> int | None:
        """Operations of an artifact that stay in float; None where it is float throughout, or unknown."""
        recipe = self.recipes.get(artifact.format, {}).get(artifact.recipe)
        return recipe.float_ops if recipe else None

    @property
    def are_photographs(self) -> bool:
        """Whether the training images are photographs."""
        return self.results.get("generate", {}).get("generator") == "photos"

    def missing(self) -> list[str]:
        """Stages that have not run."""
        return [name for name in STAGES if name not in self.results]

    def rows(self) -> dict[str, list[MetricRow]]:
        """Stage -> its metrics, then what was measured on this machine."""
        return {
            name: [
                *_flatten({key: value for key, value in result.items() if key not in _HIDDEN}),
                *(_flatten(self.machine[name]) if name in self.machine else [MetricRow("seconds", UNMEASURED_HERE)]),
            ]
            for name, result in self.results.items()
        }


def read_stage_metrics(folder: Path) -> StageMetrics:
    """Read the metrics of the stages that have run, in the order of the chain.

    Raises:
        DataError: A file is damaged.
    """
    conversions = sorted(folder.glob(f"{_CONVERT}*.json"))
    files = [*(folder / f"{name}.json" for name in STAGES), *conversions]
    curate, train = folder / "curate.json", folder / "train.json"
    return StageMetrics(
        results={path.stem: read_metrics(path) for path in files if path.exists()},
        machine=read_machine_figures(folder / MACHINE_JSON),
        curation=read_json(curate, CurationMetrics) if curate.exists() else None,
        training=read_json(train, TrainingSummary) if train.exists() else None,
        recipes={path.stem.removeprefix(_CONVERT): _read_recipes(path) for path in conversions},
    )


def _read_recipes(path: Path) -> dict[str, RecipeMetrics]:
    try:
        return _RECIPES.validate_json(path.read_bytes())
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = ".".join(map(str, problem["loc"])) or "the file"
        raise DataError(f"{path}: {place}: {problem['msg']}; run dvc repro {_CONVERT[:-1]}") from error


def _flatten(metrics: Mapping[str, JsonValue] | Figures, prefix: str = "") -> Iterator[MetricRow]:
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield MetricRow(f"{prefix}{name}", value)

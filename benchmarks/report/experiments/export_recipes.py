"""Report section: what each export recipe costs in accuracy, by backbone.

Shows benchmarks/results/exports.json, which ``gossamer benchmark export_recipes`` writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field, model_validator

from benchmarks.evaluation.estimates import Estimate, Number
from benchmarks.evaluation.predictions import CHECKPOINT
from benchmarks.report.experiments.experiment_result import ExperimentResult, ResultRecord

_TOOLKIT_DEFAULTS = "_plain"
"""Suffix of the artifacts that were quantised with the toolkit's defaults instead of Gossamer's recipe."""


class ExportedArtifact(ResultRecord):
    """One artifact beside its checkpoint, on the same selfies.

    Attributes:
        accuracy_drop_points: Accuracy of the checkpoint minus that of the artifact, in percentage points.
        agreement: Share of selfies that both decide alike.
        agreement_sure: The same where the checkpoint's probability is far from its threshold.
        fnr: False negative rate.
        size_bytes: Size of the file or package.
    """

    accuracy_drop_points: Number | None = None
    agreement: Number | None = None
    agreement_sure: Number | None = None
    fnr: Number | None = None
    size_bytes: int | None = None


class ExportedCheckpoint(ResultRecord):
    """The checkpoint before export: accuracy with its 95 % interval, and false negative rate."""

    accuracy: Estimate | None = None
    fnr: Number | None = None


class BackboneExports(ResultRecord):
    """One backbone: its checkpoint, and its artifacts by name."""

    checkpoint: ExportedCheckpoint
    artifacts: dict[str, ExportedArtifact]

    @model_validator(mode="before")
    @classmethod
    def _collect_artifacts(cls, data: object) -> object:
        """Everything beside the checkpoint is an artifact."""
        if not isinstance(data, Mapping) or "artifacts" in data:
            return data
        artifacts = {name: figures for name, figures in data.items() if name != CHECKPOINT}
        return {CHECKPOINT: data.get(CHECKPOINT), "artifacts": artifacts}


class ExportRecipesResult(ExperimentResult):
    """The figures of benchmarks/results/exports.json that the report shows.

    Attributes:
        backbones: Backbone -> checkpoint and artifacts, on rendered selfies.
        photographs: The same, trained and measured on photographs; empty where there were none.
    """

    NAME: ClassVar[str] = "exports"
    BENCHMARK: ClassVar[str] = "export_recipes"
    backbones: dict[str, BackboneExports] = Field(default_factory=dict)
    photographs: dict[str, BackboneExports] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _collect_backbones(cls, data: object) -> object:
        """A backbone is a key of the file whose value has a checkpoint."""
        if not isinstance(data, Mapping) or "backbones" in data:
            return data
        backbones = {name: value for name, value in data.items() if isinstance(value, Mapping) and CHECKPOINT in value}
        return {**data, "backbones": backbones}


@dataclass(frozen=True, slots=True)
class ExportRow:
    """One artifact of the table.

    Attributes:
        name: Name of the artifact.
        toolkit_defaults: Whether the toolkit's defaults made it.
        figures: Its figures.
        fnr_ratio: False negative rate divided by the checkpoint's; None where that is 0 or unknown.
    """

    name: str
    toolkit_defaults: bool
    figures: ExportedArtifact
    fnr_ratio: float | None


@dataclass(frozen=True, slots=True)
class BackboneTable:
    """All artifacts of one backbone, under its name and the checkpoint's accuracy."""

    title: str
    accuracy: Estimate | None
    rows: Sequence[ExportRow]


@dataclass(frozen=True, slots=True)
class ExportRecipeTable:
    """The section: one table per backbone."""

    backbones: Sequence[BackboneTable] = ()


def export_recipe_table(result: ExportRecipesResult | None) -> ExportRecipeTable:
    """Build the section; empty without a result."""
    if result is None:
        return ExportRecipeTable()
    tables = [_table(name, exports) for name, exports in result.backbones.items()]
    tables += [_table(f"{name}, on photographs", exports) for name, exports in result.photographs.items()]
    return ExportRecipeTable(tables)


def _table(title: str, exports: BackboneExports) -> BackboneTable:
    reference = exports.checkpoint.fnr
    rows = [
        ExportRow(
            name=name.removesuffix(_TOOLKIT_DEFAULTS),
            toolkit_defaults=name.endswith(_TOOLKIT_DEFAULTS),
            figures=figures,
            fnr_ratio=figures.fnr / reference if figures.fnr is not None and reference else None,
        )
        for name, figures in exports.artifacts.items()
    ]
    return BackboneTable(
        title, exports.checkpoint.accuracy, sorted(rows, key=lambda row: (row.name, row.toolkit_defaults))
    )

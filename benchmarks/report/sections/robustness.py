"""Report section: accuracy on distorted selfies, and what integration errors of an app cost.

Reads one selfie, to show each distortion as the model sees it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.evaluation.estimates import Estimate
from benchmarks.evaluation.measurement import (
    ArtifactFigures,
    CameraBasis,
    CheckpointFigures,
    DistortionFigures,
    Measurement,
)
from benchmarks.report.inputs import ReportInput
from benchmarks.report.sections.pictures import Picture, data_uri
from benchmarks.robustness.distortions import DISTORTIONS, INTEGRATION_ERRORS, distort
from pipeline.data.preprocess import PreprocessSpec
from pipeline.data.shards import read_pixels

FULL_HEAT_AT = 0.25
"""A cell is fully red from this much accuracy below the reference on."""
_EXAMPLE_HEIGHT = 192


@dataclass(frozen=True, slots=True)
class SeverityCell:
    """The checkpoint's accuracy at one severity.

    Attributes:
        accuracy: Accuracy with its interval.
        amount: The severity in the distortion's unit, e.g. "quality 65"; "" where there is only one.
        heat: How far the accuracy lies below that on undistorted selfies, in [0, 1].
    """

    accuracy: Estimate
    amount: str
    heat: float


@dataclass(frozen=True, slots=True)
class ArtifactRange:
    """Accuracy of the artifacts under one distortion: the lowest with its artifact's name, and the highest."""

    lowest: float
    highest: float
    lowest_name: str


@dataclass(frozen=True, slots=True)
class DistortionRow:
    """One distortion.

    Attributes:
        title: What it does.
        cells: One per severity, severity 1 first.
        checkpoint_accuracy: The checkpoint's accuracy on the selfies that artifacts were run on.
        artifacts: The artifacts' accuracy on the same; None where none was run.
    """

    title: str
    cells: Sequence[SeverityCell]
    checkpoint_accuracy: float | None
    artifacts: ArtifactRange | None

    def at(self, severity: int) -> SeverityCell:
        """The cell of a severity, or of the highest there is."""
        return self.cells[min(severity, len(self.cells)) - 1]


@dataclass(frozen=True, slots=True)
class IntegrationErrorRow:
    """What an app does wrong, the accuracy then, and the frame as the model sees it (a data URI, or "")."""

    title: str
    accuracy: Estimate
    heat: float
    artifacts: Mapping[str, float]
    uri: str


@dataclass(frozen=True, slots=True)
class Robustness:
    """The section; ``basis`` is None where nothing was measured.

    Attributes:
        basis: Numbers of selfies, severity and accuracy without distortion.
        distortions: One row per distortion.
        worst: The distortion with the lowest accuracy at the severity that artifacts were run on.
        integration_errors: One row per integration error.
        columns: Checkpoint and artifacts with their means over the distortions.
        examples: One selfie under each distortion.
    """

    basis: CameraBasis | None = None
    distortions: Sequence[DistortionRow] = ()
    worst: DistortionRow | None = None
    integration_errors: Sequence[IntegrationErrorRow] = ()
    columns: Mapping[str, CheckpointFigures | ArtifactFigures] | None = None
    examples: Sequence[Picture] = ()


def robustness(inputs: ReportInput) -> Robustness:
    """Build the section.

    Raises:
        DataError: The selfie to show is missing or damaged.
    """
    measurement = inputs.measurement
    if measurement is None or measurement.camera_basis is None:
        return Robustness()
    basis = measurement.camera_basis
    uris = _example_uris(inputs, basis)
    rows = [_distortion(name, levels, basis) for name, levels in measurement.camera.items() if levels]
    return Robustness(
        basis=basis,
        distortions=rows,
        worst=min(rows, key=lambda row: row.at(basis.severity).accuracy.value, default=None),
        integration_errors=_integration_errors(measurement, basis, uris),
        columns=measurement.columns,
        examples=[
            Picture(uris[name], kind.description, (amount,) if amount else ())
            for name, kind in DISTORTIONS.items()
            if name in uris
            for amount in (kind.describe_severity(kind.nearest_severity(basis.severity)),)
        ],
    )


def heat(accuracy: Estimate | None, reference: Estimate | None) -> float:
    """How far an accuracy lies below a reference: 0 at or above it, 1 from ``FULL_HEAT_AT`` below it on."""
    if accuracy is None or reference is None:
        return 0.0
    return min(max((reference.value - accuracy.value) / FULL_HEAT_AT, 0.0), 1.0)


def _distortion(name: str, levels: Mapping[int, DistortionFigures], basis: CameraBasis) -> DistortionRow:
    kind = DISTORTIONS.get(name)
    cells = [
        SeverityCell(
            accuracy=levels[severity].accuracy,
            amount=kind.describe_severity(severity) if kind and severity <= len(kind.levels) else "",
            heat=heat(levels[severity].accuracy, basis.clean_accuracy),
        )
        for severity in sorted(levels)
    ]
    shown = next((figures for figures in levels.values() if figures.artifacts), None)
    return DistortionRow(
        title=kind.description if kind else name,
        cells=cells,
        checkpoint_accuracy=shown.checkpoint_accuracy if shown else None,
        artifacts=_range(shown.artifacts) if shown else None,
    )


def _range(artifacts: Mapping[str, float]) -> ArtifactRange:
    lowest = min(artifacts, key=artifacts.__getitem__)
    return ArtifactRange(artifacts[lowest], max(artifacts.values()), lowest)


def _integration_errors(
    measurement: Measurement, basis: CameraBasis, uris: Mapping[str, str]
) -> list[IntegrationErrorRow]:
    return [
        IntegrationErrorRow(
            title=INTEGRATION_ERRORS[name].description if name in INTEGRATION_ERRORS else name,
            accuracy=figures.accuracy,
            heat=heat(figures.accuracy, basis.clean_accuracy),
            artifacts=figures.artifacts,
            uri=uris.get(name, ""),
        )
        for name, figures in measurement.integration_errors.items()
    ]


def _example_uris(inputs: ReportInput, basis: CameraBasis) -> dict[str, str]:
    """Distortion or integration error -> the example selfie as the model sees it; empty where the selfie is gone."""
    image = next((image for image in inputs.selfies_of(inputs.headline).rows if image.id == basis.example), None)
    if image is None:
        return {}
    pixels = read_pixels(inputs.selfies_of(inputs.headline).folder, image)
    height, width = pixels.shape[:2]
    scale = min(1.0, _EXAMPLE_HEIGHT / height)
    spec = PreprocessSpec(input_size=(round(height * scale), round(width * scale)))
    return {
        name: data_uri(distort(pixels, name, kind.nearest_severity(basis.severity), spec, (basis.seed, image.id)))
        for name, kind in {**DISTORTIONS, **INTEGRATION_ERRORS}.items()
    }

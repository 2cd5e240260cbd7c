"""What a phone's camera does to the answers, for the report: a table of distortions, and what mistakes of an app cost.

Reads metrics/measure.json as it comes with the report's input, and one selfie, to show it as the model saw it. A figure
that is not there is None and reads "unmeasured".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.report.inputs import ReportInput
from benchmarks.report.result_fields import Bounded, bounded, section
from benchmarks.report.sections import Shown, data_uri
from benchmarks.robustness.distortions import DISTORTIONS, INTEGRATION_ERRORS, SEVERITIES, distort
from pipeline.data.preprocess import PreprocessSpec
from pipeline.data.shards import read_pixels

FULL_HEAT_AT = 0.25


@dataclass(frozen=True, slots=True)
class Cell:
    """The checkpoint's accuracy at one severity.

    Attributes:
        accuracy: With the ends of its interval.
        amount: How much the severity is, in words.
        heat: How far it lies below the accuracy on undistorted selfies, 1 at ``FULL_HEAT_AT`` or more.
    """

    accuracy: Bounded
    amount: str
    heat: float


@dataclass(frozen=True, slots=True)
class Distorted:
    """One distortion: its cells by severity, and the artifacts at theirs (lowest, highest, name of the lowest)."""

    words: str
    cells: Sequence[Cell]
    same: float | None
    artifacts: tuple[float | None, float | None, str]


@dataclass(frozen=True, slots=True)
class Mistake:
    """What an app may do wrong, in words, what it costs, and what the model sees then (a data URI, or "")."""

    words: str
    accuracy: Bounded
    heat: float
    artifacts: Mapping[str, Any]
    uri: str


@dataclass(frozen=True, slots=True)
class CameraTables:
    """All of it; empty where nothing was measured."""

    basis: Mapping[str, Any]
    distorted: Sequence[Distorted]
    mistakes: Sequence[Mistake]
    columns: Mapping[str, Mapping[str, Any]]
    examples: Sequence[Shown]

    @property
    def worst(self) -> Distorted | None:
        """The distortion with the lowest accuracy at the severity that artifacts saw."""
        at = self.basis.get("severity")
        rated = [
            (row.cells[min(at, len(row.cells)) - 1].accuracy[0], row)
            for row in self.distorted
            if isinstance(at, int) and row.cells
        ]
        told = [(accuracy, row) for accuracy, row in rated if accuracy is not None]
        return min(told, key=lambda each: each[0])[1] if told else None


def camera_tables(found: ReportInput) -> CameraTables:
    """Gather what measuring found.

    Raises:
        DataError: The selfie that is to be shown is missing or damaged.
    """
    measured = section(found.metrics, "measure")
    basis = section(measured, "camera_basis")
    clean = basis.get("clean_accuracy")
    shown = _pictures(found, basis)
    kinds = section(measured, "camera")
    errors = section(measured, "integration_errors")
    columns = {"checkpoint": section(measured, "checkpoint"), **section(measured, "artifacts")}
    return CameraTables(
        basis=basis,
        distorted=[_distorted(name, section(kinds, name), clean) for name in kinds],
        mistakes=[_mistake(name, section(errors, name), clean, shown.get(name, "")) for name in errors],
        columns={name: row for name, row in columns.items() if isinstance(row, Mapping)} if kinds else {},
        examples=[
            Shown(
                shown[name],
                kind.description,
                tuple(filter(None, [kind.describe_severity(kind.nearest_severity(basis["severity"]))])),
            )
            for name, kind in DISTORTIONS.items()
            if name in shown
        ],
    )


def heat(accuracy: object, clean: object) -> float:
    """How far an accuracy lies below the clean one, from 0 to 1."""
    if not isinstance(accuracy, int | float) or not isinstance(clean, int | float):
        return 0.0
    return min(max((clean - accuracy) / FULL_HEAT_AT, 0.0), 1.0)


def _distorted(name: str, levels: Mapping[str, Any], clean: object) -> Distorted:
    kind = DISTORTIONS.get(name)
    cells: list[Cell] = []
    same: float | None = None
    artifacts: Mapping[str, Any] = {}
    for severity in sorted(filter(str.isdecimal, levels), key=int)[:SEVERITIES]:
        figures = section(levels, severity)
        accuracy = bounded(figures, "accuracy")
        known = kind is not None and int(severity) <= len(kind.levels)
        cells.append(
            Cell(accuracy, kind.describe_severity(int(severity)) if kind and known else "", heat(accuracy[0], clean))
        )
        if figures.get("artifacts"):
            same, artifacts = figures.get("checkpoint_accuracy"), section(figures, "artifacts")
    return Distorted(kind.description if kind else name, cells, same, _range(artifacts))


def _range(artifacts: Mapping[str, Any]) -> tuple[float | None, float | None, str]:
    told = {name: value for name, value in artifacts.items() if isinstance(value, int | float)}
    if not told:
        return None, None, ""
    lowest = min(told, key=lambda name: told[name])
    return told[lowest], max(told.values()), lowest


def _mistake(name: str, figures: Mapping[str, Any], clean: object, uri: str) -> Mistake:
    words = INTEGRATION_ERRORS[name].description if name in INTEGRATION_ERRORS else name
    accuracy = bounded(figures, "accuracy")
    return Mistake(words, accuracy, heat(accuracy[0], clean), section(figures, "artifacts"), uri)


def _pictures(found: ReportInput, basis: Mapping[str, Any]) -> dict[str, str]:
    """Name -> the example selfie as the model saw it, as a data URI; empty where the selfie is no longer there."""
    row = next((row for row in found.selfies.rows if row.id == basis.get("example")), None)
    severity, seed = basis.get("severity"), basis.get("seed")
    if row is None or not isinstance(severity, int) or not isinstance(seed, int):
        return {}
    pixels = read_pixels(found.selfies.folder, row)
    scale = min(1.0, 192 / pixels.shape[0])
    spec = PreprocessSpec(input_size=(round(pixels.shape[0] * scale), round(pixels.shape[1] * scale)))
    return {
        name: data_uri(distort(pixels, name, kind.nearest_severity(severity), spec, (seed, row.id)))
        for name, kind in {**DISTORTIONS, **INTEGRATION_ERRORS}.items()
    }

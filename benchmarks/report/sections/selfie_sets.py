"""Report sections: the test sets beside each other, and one section for each beside the headline.

Also the first sentence of the report, which says whether anything was measured on real faces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from benchmarks.evaluation.measurement import ArtifactFigures, Measurement, SetFigures
from benchmarks.report.charts.line_charts import draw_prediction_charts
from benchmarks.report.charts.svg import axis_start
from benchmarks.report.formatting import number, percent
from benchmarks.report.inputs import ReportInput
from benchmarks.report.sections.pictures import Picture, misclassified_selfies
from benchmarks.report.sections.slice_table import SliceRow, lower_bounds, slice_table

HOW_TO_MEASURE = (
    "to measure on photographs, set selfies.photographs: [{name: street, folder: FOLDER, licence: our own}] in "
    "params.yaml, with the pictures in FOLDER/LABEL/, and run dvc repro (docs/test_sets.md)"
)
NO_REAL_FACES = f"Nothing was measured on real faces: {HOW_TO_MEASURE}."


@dataclass(frozen=True, slots=True)
class SetRow:
    """One test set in the table of all sets; ``lowest`` is the artifact with the lowest accuracy, None without one."""

    name: str
    figures: SetFigures
    is_headline: bool
    lowest: ArtifactFigures | None

    @property
    def kind(self) -> str:
        """Number and kind of its selfies, e.g. "549 photographs"."""
        selfies = self.figures.selfies
        kind = {"rendered": "rendered selfies", "photos": "photographs", None: "selfies"}[selfies.source]
        return f"{selfies.count:,} {kind}"


@dataclass(frozen=True, slots=True)
class SetSection:
    """The section of a test set beside the headline.

    Attributes:
        row: What the table of all sets says of it.
        slices: Factor -> its slices; empty where its selfies carry no factors.
        slice_axis_start: Where the axis of the slices begins, as a share.
        charts: Its ROC, calibration and abstention charts.
        misclassified: Selfies that the checkpoint misclassifies; None without valid predictions.
    """

    row: SetRow
    slices: Mapping[str, Sequence[SliceRow]]
    slice_axis_start: float
    charts: Mapping[str, Markup]
    misclassified: Sequence[Picture] | None


def set_rows(measurement: Measurement | None) -> list[SetRow]:
    """Rows of the table of all test sets, the headline first."""
    sets = measurement.every_set if measurement else {}
    return [SetRow(name, figures, figures is measurement, _lowest(figures)) for name, figures in sets.items()]


def set_sections(inputs: ReportInput, worst_images: int) -> list[SetSection]:
    """One section for each test set beside the headline.

    Raises:
        DataError: An image to show is missing or damaged.
    """
    return [_section(inputs, row, worst_images) for row in set_rows(inputs.measurement) if not row.is_headline]


def describe_real_faces(measurement: Measurement | None) -> str:
    """The first sentence of the report: what was measured on real faces, or that nothing was and how to do it."""
    rows = [row for row in set_rows(measurement) if row.figures.selfies.is_photographs]
    if not rows:
        return NO_REAL_FACES
    told = "; ".join(f"{row.kind} of the test set {row.name}, {_describe(row.figures)}" for row in rows)
    headline = next(row.name for row in set_rows(measurement) if row.is_headline)
    return f"On real faces: {told}; the verdict stands on the test set {headline}."


def _section(inputs: ReportInput, row: SetRow, worst_images: int) -> SetSection:
    slices = slice_table(row.figures)
    predictions = inputs.predictions.of_set(row.name) if inputs.predictions else None
    return SetSection(
        row=row,
        slices=slices,
        slice_axis_start=axis_start(lower_bounds(slices)),
        charts=draw_prediction_charts(predictions, row.figures),
        misclassified=misclassified_selfies(inputs, worst_images, row.name),
    )


def _describe(figures: SetFigures) -> str:
    own = figures.checkpoint
    if own.accuracy is None:
        return "on which the checkpoint is unmeasured"
    interval = f"{percent(own.accuracy.low)} to {percent(own.accuracy.high)}"
    balanced = f"balanced accuracy {percent(own.balanced_accuracy)}, " if own.balanced_accuracy is not None else ""
    correct = f"of which the checkpoint decides {percent(own.accuracy.value)} correctly"
    return f"{correct} ({interval}; {balanced}AUC {number(own.auc, 3)})"


def _lowest(figures: SetFigures) -> ArtifactFigures | None:
    measured = [(row.accuracy.value, row.name, row) for row in figures.artifacts.values() if row.accuracy]
    return min(measured, key=lambda item: item[:2])[2] if measured else None

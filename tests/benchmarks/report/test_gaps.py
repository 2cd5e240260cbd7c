"""Page and comment call a figure unmeasured if and only if it is missing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.evaluation.machine_figures import MachineFigures
from benchmarks.evaluation.measurement import ArtifactFigures, CheckpointFigures, Measurement, SliceFigures
from benchmarks.report import stage as report
from benchmarks.report.inputs import Gallery, ReportInput
from pipeline.config.params import ReportParams
from tests.benchmarks.report.full_report import whole_report

PARAMS = ReportParams(sample_images=0, worst_images=0)
FIXED = (
    r"<style>.*?</style>",
    r'href="#unmeasured">Unmeasured<',
    r'<section id="unmeasured"><h2>Unmeasured</h2>',
    r"0 are unmeasured",
    r"\| check \| limit \| pass \| fail \| unmeasured \|",
)
"""Where the word names a section or a column."""
NOT_SHOWN = re.compile(r"arm64_.*|parameters|macs|mean_corruption_error_all_severities")
"""Figures that are left out where they are missing: only some machines and versions have them."""


@pytest.fixture(scope="module")
def whole(root: Path) -> ReportInput:
    return whole_report(root)


def gaps(inputs: ReportInput) -> int:
    """Count the gaps of page and comment."""
    made = report.run(PARAMS, inputs)
    text = made.html + made.markdown
    for pattern in FIXED:
        text = re.sub(pattern, "", text, flags=re.DOTALL)
    return len(re.findall(r"unmeasured|not measured|not recorded", text, re.IGNORECASE))


def optional_figures(kind: type[ArtifactFigures | CheckpointFigures]) -> list[str]:
    """Names of the figures that may be missing."""
    fields = kind.model_fields.items()
    return [name for name, field in fields if type(None) in getattr(field.annotation, "__args__", ())]


SHOWN = [
    *(("artifact", name) for name in optional_figures(ArtifactFigures) if not NOT_SHOWN.fullmatch(name)),
    *(("checkpoint", name) for name in optional_figures(CheckpointFigures) if not NOT_SHOWN.fullmatch(name)),
]
SHOWN.remove(("checkpoint", "camera_agreement"))  # with itself


def test_nothing_is_called_unmeasured_where_every_figure_exists(whole: ReportInput) -> None:
    assert whole.unmeasured() == {}
    assert gaps(whole) == 0


@pytest.mark.parametrize(("place", "name"), SHOWN)
def test_a_figure_that_is_missing_is_called_unmeasured(whole: ReportInput, place: str, name: str) -> None:
    measurement = measured(whole)
    if place == "checkpoint":
        changed: Mapping[str, Any] = {"checkpoint": measurement.checkpoint.model_copy(update={name: None})}
    else:
        row = measurement.artifacts["onnx-float32"].model_copy(update={name: None})
        changed = {"artifacts": {**measurement.artifacts, row.name: row}}
    assert gaps(replace(whole, measurement=measurement.model_copy(update=changed))) > 0


@pytest.mark.parametrize(
    "missing",
    [{"slices": {}}, {"slices": {"light": {"night": SliceFigures(count=3)}}}, {"camera": {}}, {"cost_per_1000": {}}],
    ids=",".join,
)
def test_a_part_of_the_measurement_that_is_missing_is_called_unmeasured(
    whole: ReportInput, missing: dict[str, Any]
) -> None:
    assert gaps(replace(whole, measurement=measured(whole).model_copy(update=missing))) > 0


@pytest.mark.parametrize(
    "missing",
    [
        {"measurement": None},
        {"verdict": None},
        {"predictions": None},
        {"training_curve": ()},
        {"training": Gallery(Path())},
        {"timings": MachineFigures()},
    ],
    ids=",".join,
)
def test_an_output_that_is_missing_is_called_unmeasured(whole: ReportInput, missing: dict[str, Any]) -> None:
    assert gaps(replace(whole, **missing)) > 0


@pytest.mark.parametrize("name", ["prompts", "generate", "curate", "train"])
def test_a_stage_that_has_not_run_is_called_unmeasured(whole: ReportInput, name: str) -> None:
    stages = whole.stages
    here = replace(stages, machine={other: figures for other, figures in stages.machine.items() if other != name})
    assert gaps(replace(whole, stages=here)) > 0
    results = {other: figures for other, figures in stages.results.items() if other != name}
    assert gaps(replace(whole, stages=replace(stages, results=results))) > 0


@pytest.mark.parametrize("name", ["generated_vs_rendered", "bundled_diffusion", "curation", "export_recipes"])
def test_a_benchmark_that_has_not_run_is_called_unmeasured(whole: ReportInput, name: str) -> None:
    assert gaps(replace(whole, experiments=replace(whole.experiments, **{name: None}))) > 0


def measured(inputs: ReportInput) -> Measurement:
    assert inputs.measurement is not None
    return inputs.measurement

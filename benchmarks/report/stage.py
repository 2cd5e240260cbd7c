"""Stage: the results of the chain on one self-contained HTML page, in one Markdown comment, and in one metrics file.

Reads the outputs of all stages (``benchmarks.report.inputs``). Writes report/index.html, report/summary.md,
metrics/summary.json, and last report/run.json, which names the run that the page shows. The page loads no other file:
pictures and charts are inlined. A figure that is missing reads "unmeasured".

Page and comment show times of this machine, so dvc.yaml does not declare them. It declares the other two files, which
hold figures of the result only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jinja2

from benchmarks.evaluation.summary import Summary, summarise
from benchmarks.gate.checks.label_verifier import ADVICE
from benchmarks.gate.verdict_text import VERDICT_ORDER, group_not_passed, kind_of
from benchmarks.report import formatting
from benchmarks.report.charts.line_charts import draw_charts
from benchmarks.report.charts.svg import axis_start, interval_bar
from benchmarks.report.experiments.bundled_diffusion import ATTRIBUTES, alignment_rows
from benchmarks.report.experiments.curation import curation_section
from benchmarks.report.experiments.export_recipes import export_recipe_table
from benchmarks.report.experiments.generated_vs_rendered import generated_vs_rendered
from benchmarks.report.inputs import ReportInput
from benchmarks.report.pr_comment import build_comment
from benchmarks.report.sections.fairness import fairness
from benchmarks.report.sections.pictures import contact_sheets, misclassified_selfies, training_samples
from benchmarks.report.sections.rejections import count_rejections, most_rejected_slices
from benchmarks.report.sections.robustness import robustness
from benchmarks.report.sections.selfie_sets import describe_real_faces, set_rows, set_sections
from benchmarks.report.sections.slice_table import lower_bounds, slice_table, worst_slice
from pipeline.config.params import ReportParams
from pipeline.data.records import Outcome, Record
from pipeline.data.storage import atomic_write, write_json

TEMPLATES = Path(__file__).parent / "templates"


class ReportedRun(Record):
    """report/run.json: which run the page and the comment beside it show; None where a stage has not run.

    Attributes:
        policy: Name of the policy.
        verdict: Verdict of the gate.
        checkpoint_id: Id of the checkpoint.
        selfies_dataset_id: Id of the test set that the verdict stands on.
    """

    policy: str
    verdict: Outcome | None
    checkpoint_id: str | None
    selfies_dataset_id: str | None


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """Where the stage writes: the page, the comment, the figures to compare, and the run they belong to."""

    page: Path
    comment: Path
    summary: Path
    run: Path


@dataclass(frozen=True, slots=True)
class Report:
    """What the stage writes.

    Attributes:
        html: report/index.html.
        markdown: report/summary.md.
        summary: metrics/summary.json.
        run: report/run.json.
    """

    html: str
    markdown: str
    summary: Summary
    run: ReportedRun


def run(params: ReportParams, inputs: ReportInput) -> Report:
    """Render the page and the comment.

    Raises:
        DataError: An image to show is missing or damaged.
    """
    slices = slice_table(inputs.measurement)
    worst, unmeasured = worst_slice(slices), inputs.unmeasured()
    experiments, checks = inputs.experiments, inputs.verdict.checks if inputs.verdict else ()
    shared = {
        "inputs": inputs,
        "verdict": inputs.verdict.verdict if inputs.verdict else formatting.UNMEASURED,
        "checks": sorted(checks, key=lambda check: VERDICT_ORDER[check.verdict]),
        "measurement": inputs.measurement,
        "worst": worst,
        "unmeasured": unmeasured,
        "real_faces": describe_real_faces(inputs.measurement),
        "sets": set_rows(inputs.measurement),
        "kind_of": kind_of,
        "generated_vs_rendered": generated_vs_rendered(experiments.generated_vs_rendered),
        "origins": experiments.origins(inputs.conditions),
    }
    page = {
        "not_passed": group_not_passed(checks),
        "set_sections": set_sections(inputs, params.worst_images),
        "slices": slices,
        "slice_axis_start": axis_start(lower_bounds(slices)),
        "fairness": fairness(inputs.measurement),
        "charts": draw_charts(inputs),
        "misclassified": misclassified_selfies(inputs, params.worst_images),
        "samples": training_samples(inputs, params.sample_images),
        "rejections": count_rejections(inputs.rejections),
        "label_advice": ADVICE,
        "rejected_slices": most_rejected_slices(inputs.stages.curation),
        "contact_sheets": contact_sheets(inputs),
        "robustness": robustness(inputs),
        "bundled_diffusion": experiments.bundled_diffusion,
        "alignment": alignment_rows(experiments.bundled_diffusion),
        "attributes": ATTRIBUTES,
        "curation": curation_section(experiments.curation),
        "export_recipes": export_recipe_table(experiments.export_recipes),
    }
    environment = _environment()
    comment = build_comment(inputs, unmeasured, worst)
    return Report(
        html=environment.get_template("report.html.j2").render(shared | page),
        markdown=environment.get_template("summary.md.j2").render(shared | {"comment": comment}),
        summary=summarise(inputs.measurement, inputs.verdict, inputs.stages.curation, inputs.stages.training),
        run=_reported_run(inputs),
    )


def write(report: Report, paths: ReportFiles) -> None:
    """Write all files, and last the one that names the run they show."""
    for path, text in ((paths.page, report.html), (paths.comment, report.markdown)):
        with atomic_write(path) as file:
            file.write(text.encode())
    write_json(paths.summary, report.summary)
    write_json(paths.run, report.run)


def _reported_run(inputs: ReportInput) -> ReportedRun:
    measurement = inputs.measurement
    return ReportedRun(
        policy=inputs.policy,
        verdict=inputs.verdict.verdict if inputs.verdict else None,
        checkpoint_id=measurement.checkpoint.id if measurement else None,
        selfies_dataset_id=measurement.selfies.dataset_id if measurement else None,
    )


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=jinja2.select_autoescape(("html.j2",)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": formatting.percent,
        "number": formatting.number,
        "check_figure": formatting.check_figure,
        "ms": formatting.milliseconds,
        "mb": formatting.megabytes,
        "points": formatting.points,
        "minutes": formatting.minutes,
        "cell": formatting.markdown_cell,
        "change_in_points": formatting.change_in_points,
        "change_in_percent": formatting.change_in_percent,
        "axis_start": axis_start,
    }
    environment.globals["interval_bar"] = interval_bar
    return environment

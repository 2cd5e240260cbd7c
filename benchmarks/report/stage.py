"""Stage: the results of the chain on one self-contained HTML page, in one Markdown comment, and in one metrics file.

Reads the outputs of all stages (``benchmarks.report.inputs``). Writes report/index.html, report/summary.md and
metrics/summary.json, and last report/run.json, which says what run the page shows. The page loads no other file:
pictures and charts are inlined. A figure that is missing reads "unmeasured".
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jinja2

from benchmarks.report import formatting
from benchmarks.report.experiments.bundled_diffusion import ATTRIBUTES, alignment_rows
from benchmarks.report.experiments.curation import curation_section
from benchmarks.report.experiments.export_recipes import export_recipe_table
from benchmarks.report.experiments.generated_vs_rendered import generated_vs_rendered
from benchmarks.report.fairness import fairness
from benchmarks.report.inputs import ReportInput
from benchmarks.report.line_charts import draw_charts
from benchmarks.report.pictures import contact_sheets, misclassified_selfies, training_samples
from benchmarks.report.pr_comment import VERDICT_ORDER, build_comment
from benchmarks.report.rejections import count_rejections, most_rejected_slices
from benchmarks.report.robustness import robustness
from benchmarks.report.slice_table import lower_bounds, slice_table, worst_slice
from benchmarks.report.svg import axis_start, interval_bar
from pipeline.config.params import ReportParams
from pipeline.data.storage import atomic_write

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Report:
    """Content of report/index.html and report/summary.md."""

    html: str
    markdown: str


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
        "generated_vs_rendered": generated_vs_rendered(experiments.generated_vs_rendered),
    }
    page = {
        "slices": slices,
        "slice_axis_start": axis_start(lower_bounds(slices)),
        "fairness": fairness(inputs.measurement),
        "charts": draw_charts(inputs),
        "misclassified": misclassified_selfies(inputs, params.worst_images),
        "samples": training_samples(inputs, params.sample_images),
        "rejections": count_rejections(inputs.rejections),
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
    )


def write(report: Report, page: Path, comment: Path) -> None:
    """Write the page and the comment."""
    for path, text in ((page, report.html), (comment, report.markdown)):
        with atomic_write(path) as file:
            file.write(text.encode())


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

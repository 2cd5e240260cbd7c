"""Stage: everything the chain found out, as one self-contained HTML page and one Markdown comment.

Reads metrics/*.json, plots/train.csv, rows, images and contact sheets (``benchmarks.report.inputs``); writes
report/index.html and report/summary.md. The page loads nothing from anywhere: pictures and charts are inside it.
What is missing reads "unmeasured".
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from benchmarks.report.baseline_changes import Delta
from benchmarks.report.experiments import curation
from benchmarks.report.experiments import export_recipes as exporting
from benchmarks.report.experiments import generated_vs_rendered as founding
from benchmarks.report.experiments.curation import worth
from benchmarks.report.experiments.export_recipes import recipes
from benchmarks.report.experiments.generated_vs_rendered import TRAITS, thesis
from benchmarks.report.fairness import fairness
from benchmarks.report.inputs import ReportInput
from benchmarks.report.line_charts import charts
from benchmarks.report.pr_comment import arrow, cell, comment
from benchmarks.report.robustness import camera_tables
from benchmarks.report.sections import (
    Fact,
    facts,
    mistakes,
    most_lost,
    rejection_counts,
    samples,
    sheets,
    slices,
    unmeasured,
    worst_slice,
)
from benchmarks.report.svg import interval_bar
from pipeline.config.params import ReportParams
from pipeline.data.storage import atomic_write

UNMEASURED = "unmeasured"
TEMPLATES = Path(__file__).parent / "templates"
_NUMBERS = ("required", "fnr_vs_baseline", "fpr_vs_baseline")
"""Checks whose value is a count or a ratio; the others' are shares."""
_ORDER = {"fail": 0, "unmeasured": 1, "pass": 2}
_STAGES = ("prompts", "generate", "curate", "train")


@dataclass(frozen=True, slots=True)
class Report:
    """report/index.html and report/summary.md."""

    html: str
    markdown: str


def run(params: ReportParams, found: ReportInput) -> Report:
    """Write the report.

    Raises:
        DataError: An image that is to be shown is missing or damaged.
    """
    measured = found.metrics.get("measure", {})
    rows = slices(measured)
    worst = worst_slice(rows)
    gaps = unmeasured(found) | founding.gaps(found) | curation.gaps(found) | exporting.gaps(found)
    shared = {
        "found": found,
        "verdict": found.verdict.verdict if found.verdict else UNMEASURED,
        "checks": sorted(found.verdict.checks, key=lambda each: _ORDER[each.verdict]) if found.verdict else [],
        "measured": measured,
        "artifacts": measured.get("artifacts", {}),
        "worst": worst,
        "unmeasured": gaps,
        "thesis": thesis(found),
        "worth": worth(found),
        "recipes": recipes(found),
    }
    page = {
        "slices": rows,
        "fairness": fairness(measured),
        "axis_start": axis_start(row.low for group in rows.values() for row in group if row.low is not None),
        "charts": charts(found),
        "mistakes": mistakes(found, params.worst_images),
        "samples": samples(found, params.sample_images),
        "rejections": rejection_counts(found),
        "most_lost": most_lost(found),
        "sheets": sheets(found),
        "stages": _stages(found),
        "traits": TRAITS,
        "shaken": camera_tables(found),
    }
    environment = _environment()
    said = comment(found, gaps, (worst.factor, worst.value) if worst else None)
    return Report(
        html=environment.get_template("report.html.j2").render(shared | page),
        markdown=environment.get_template("summary.md.j2").render(shared | {"comment": said}),
    )


def write(report: Report, page: Path, summary: Path) -> None:
    """Write the page and the comment."""
    for path, text in ((page, report.html), (summary, report.markdown)):
        with atomic_write(path) as file:
            file.write(text.encode())


def percent(value: object, digits: int = 1) -> str:
    """A share as a percentage, with a space that does not break."""
    return _shown(value, lambda found: f"{100 * found:.{digits}f}\u00a0%")


def number(value: object, digits: int = 4) -> str:
    """A number with ``digits`` significant digits; from a thousand on a whole one with groups."""
    return _shown(value, lambda found: f"{found:,.0f}" if abs(found) >= 1000 else f"{found:.{digits}g}")


def figure(value: object, check: str) -> str:
    """The value or limit of a check, in the unit of the check."""
    if check == "size_bytes":
        return megabytes(value)
    return number(value) if check in _NUMBERS else percent(value, 2)


def milliseconds(value: object) -> str:
    """A time in ms."""
    return _shown(value, lambda found: f"{found:.2f}\u00a0ms" if found < 100 else f"{found:.0f}\u00a0ms")


def megabytes(value: object) -> str:
    """A size in bytes as MB (10**6)."""
    return _shown(value, lambda found: f"{found / 1e6:.2f}\u00a0MB" if found < 1e8 else f"{found / 1e6:.0f}\u00a0MB")


def points(value: object, unit: str = "\u00a0points") -> str:
    """A difference of percentages."""
    return _shown(value, lambda found: f"{found:.1f}{unit}")


def minutes(value: object) -> str:
    """A time in seconds, in minutes once there are some."""
    return _shown(value, lambda found: f"{found / 60:.0f}\u00a0min" if found >= 120 else f"{found:.0f}\u00a0s")


def axis_start(lows: Iterable[float]) -> float:
    """Where an axis of shares begins so that the lowest is on it: a round tenth, 0.9 at most."""
    return min(0.9, math.floor(10 * min(lows, default=0.9)) / 10)


def arrow_points(delta: Delta) -> str:
    """The change of a share, in percentage points."""
    return arrow(delta, f"{100 * (delta.change or 0):+.2f}")


def arrow_percent(delta: Delta) -> str:
    """The change of a size or time, as a percentage of what it was."""
    return arrow(delta, f"{100 * (delta.change or 0):+.1f}\u00a0%")


def _shown(value: object, show: Any) -> str:  # noqa: ANN401 - a formatter of floats
    usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return str(show(float(value))) if usable and isinstance(value, int | float) else UNMEASURED


def _stages(found: ReportInput) -> dict[str, list[Fact]]:
    names = [name for name in found.metrics if name in _STAGES or name.startswith("convert")]
    order = sorted(names, key=lambda name: (_STAGES.index(name) if name in _STAGES else len(_STAGES), name))
    figures = {name: {**found.metrics[name]} for name in order}
    for each in figures.values():
        each.pop("rejection_rate_by", None)  # hundreds of rows; the worst stand under "Who is put aside"
    return {name: facts(each) for name, each in figures.items()}


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=jinja2.select_autoescape(("html.j2",)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "number": number,
        "figure": figure,
        "ms": milliseconds,
        "mb": megabytes,
        "cell": cell,
        "arrow_points": arrow_points,
        "arrow_percent": arrow_percent,
        "points": points,
        "minutes": minutes,
        "axis_start": axis_start,
    }
    environment.globals["interval_bar"] = interval_bar
    return environment

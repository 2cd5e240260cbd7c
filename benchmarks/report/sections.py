"""What the report's sections show: evidence -> rows and pictures, ready for the template.

Pictures become data URIs of small JPEGs, so that the page needs no other file.
"""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image
from markupsafe import Markup

from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from benchmarks.report.inputs import ReportInput
from benchmarks.report.svg import count_bar
from pipeline.data.preprocess import Pixels, decode
from pipeline.data.records import Image
from pipeline.data.shards import read_pixels

_SHOWN_HEIGHT = 192
_SHEET_WIDTH = 1400


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and a value of a stage's metrics."""

    name: str
    value: Any


@dataclass(frozen=True, slots=True)
class SliceRow:
    """A slice of the selfies; rates are None where there were too few rows to rate it."""

    factor: str
    value: str
    count: int
    accuracy: float | None
    low: float | None
    high: float | None
    fnr: float | None
    fpr: float | None


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture with what is said below it.

    Attributes:
        uri: The picture itself, as a data URI.
        title: In a word.
        lines: Figures, a line each.
        facts: Its factors as ``name=value``.
        brief: The values of the factors alone, the label's own first.
    """

    uri: str
    title: str
    lines: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    brief: str = ""


@dataclass(frozen=True, slots=True)
class RejectionRow:
    """A reason of curation, how often it was given, and a bar of that."""

    reason: str
    count: int
    bar: Markup


@dataclass(frozen=True, slots=True)
class LossRow:
    """What share of a slice's images curation put aside, with its interval; ``top_up`` where that is too much."""

    name: str
    rate: float
    low: float
    high: float
    top_up: int | None


def slices(measured: Mapping[str, Any]) -> dict[str, list[SliceRow]]:
    """Factor -> its slices, the least accurate first, unrated ones last."""
    found = {}
    for factor, values in measured.get("slices", {}).items():
        rows = [
            SliceRow(
                factor,
                value,
                figures.get("count", 0),
                figures.get("accuracy"),
                figures.get("accuracy_low"),
                figures.get("accuracy_high"),
                figures.get("fnr"),
                figures.get("fpr"),
            )
            for value, figures in values.items()
        ]
        found[factor] = sorted(rows, key=lambda row: (row.accuracy is None, row.accuracy or 0.0, row.value))
    return found


def worst_slice(rows: Mapping[str, Sequence[SliceRow]]) -> SliceRow | None:
    """The rated slice with the lowest accuracy; of equals the one of most selfies."""
    rated = [row for group in rows.values() for row in group if row.accuracy is not None]
    return min(rated, key=lambda row: (row.accuracy or 0.0, -row.count), default=None)


def unmeasured(found: ReportInput) -> dict[str, str]:
    """What was not measured -> why: what measuring says, and what is not there at all."""
    gaps = {str(name): str(why) for name, why in found.metrics.get("measure", {}).get("unmeasured", {}).items()}
    stages = ("prompts", "generate", "curate", "train", "measure")
    gaps |= {f"metrics/{name}.json": "the stage has not run" for name in stages if name not in found.metrics}
    if found.verdict is None:
        gaps["metrics/gate.json"] = "the gate has not run"
    if found.predictions is None:
        gaps["data/predictions.parquet"] = "there are no answers to show mistakes of"
    if found.unread:
        gaps["data/selfies/rejected.jsonl"] = (
            f"{len(found.unread)} photographs could not be read; the first, {found.unread[0].image_id}: "
            f"{found.unread[0].detail}"
        )
    return gaps


def rejection_counts(found: ReportInput) -> list[RejectionRow]:
    """Rejections by reason, the commonest first."""
    counts = Counter(row.reason for row in found.rejections).most_common()
    most = counts[0][1] if counts else 0
    return [RejectionRow(reason, count, count_bar(count, most)) for reason, count in counts]


def most_lost(found: ReportInput, count: int = 10) -> list[LossRow]:
    """The slices that curation took most of, the worst first; none that lost nothing."""
    curated = found.metrics.get("curate", {})
    losing = curated.get("losing_slices", {})
    rows = [
        LossRow(f"{factor}={value}", each["rate"], each["low"], each["high"], losing.get(f"{factor}={value}"))
        for factor, values in curated.get("rejection_rate_by", {}).items()
        for value, each in values.items()
        if each["rate"] > 0
    ]
    return sorted(rows, key=lambda row: (row.top_up is None, -row.rate, row.name))[:count]


def samples(found: ReportInput, count: int) -> list[Shown]:
    """Kept training images, evenly over the rows, so that labels and scenes mix."""
    rows = found.training.rows
    chosen = sorted({int(at) for at in np.linspace(0, len(rows) - 1, min(count, len(rows)))})
    return [
        Shown(
            data_uri(read_pixels(found.training.folder, rows[at])),
            rows[at].label,
            facts=_told(rows[at]),
            brief=", ".join(fact.partition("=")[2] for fact in reversed(_told(rows[at]))),
        )
        for at in chosen
    ]


def mistakes(found: ReportInput, count: int) -> list[Shown] | None:
    """Selfies the checkpoint decides wrongly, the surest first, with the artifacts' probabilities; None: unmeasured."""
    table = found.predictions
    if table is None or not table.is_whole(CHECKPOINT):
        return None
    rows = {row.id: row for row in found.selfies.rows}
    decisions, probabilities = table.decisions(CHECKPOINT), table.probabilities[CHECKPOINT]
    wrong = np.flatnonzero(decisions != table.targets)
    surest = sorted(wrong, key=lambda at: (-probabilities[at, decisions[at]], table.ids[at]))
    return [_mistake(found, table, int(at), rows[table.ids[at]]) for at in surest if table.ids[at] in rows][:count]


def sheets(found: ReportInput) -> list[Shown]:
    """Contact sheets of curation, at most ``_SHEET_WIDTH`` pixels wide."""
    return [
        Shown(data_uri(decode(path.read_bytes(), str(path)), width=_SHEET_WIDTH), path.stem.replace("_", " "))
        for path in found.sheets
    ]


def facts(figures: Mapping[str, Any], prefix: str = "") -> list[Fact]:
    """Metrics as flat rows, nested names joined by dots."""
    rows: list[Fact] = []
    for name, value in figures.items():
        if isinstance(value, Mapping):
            rows += facts(value, f"{prefix}{name}.")
        else:
            rows.append(Fact(f"{prefix}{name}", value))
    return rows


def data_uri(pixels: Pixels, width: int | None = None) -> str:
    """Encode RGB pixels, uint8 (height, width, 3), as a JPEG inside a URI, scaled down to what is shown."""
    image = PIL.Image.fromarray(pixels)
    image.thumbnail((width, 10**6) if width else (10**6, _SHOWN_HEIGHT))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _mistake(found: ReportInput, table: Predictions, at: int, row: Image) -> Shown:
    decided = table.labels[table.decisions(CHECKPOINT)[at]]
    said = {name: float(each[at, -1]) for name, each in table.probabilities.items() if table.is_whole(name)}
    lines = [f"p({table.labels[-1]}) {said.pop(CHECKPOINT):.2f}"]
    if said:
        low, high = min(said, key=said.__getitem__), max(said, key=said.__getitem__)
        lines += [f"artifacts {said[low]:.2f} ({low})", f"to {said[high]:.2f} ({high})"]
    uri = data_uri(read_pixels(found.selfies.folder, row))
    return Shown(uri, f"{row.label}, taken for {decided}", tuple(lines), _told(row))


def _told(row: Image) -> tuple[str, ...]:
    return tuple(f"{name}={value}" for name, value in row.factors.items() if value != "none")

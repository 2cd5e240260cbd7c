"""What the report is made of, and how it is read from a chain's outputs; whatever is missing is left empty, and said.

Reads metrics/*.json, plots/train.csv, the rows and images of data/, data/predictions.parquet, the contact sheets of
report/curation/, benchmarks/baseline/ and benchmarks/results/*.json. Writes nothing. A missing file is a gap in the
report; a damaged one is an error.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.evaluation.predictions import Predictions, read_predictions
from benchmarks.gate.baseline import Baseline, read_baseline
from pipeline.data.records import Image, Rejection, Verdict
from pipeline.data.shards import INDEX
from pipeline.data.storage import read_json, read_metrics, read_rows

SHEET_SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True, slots=True)
class Gallery:
    """Images in a folder of shards."""

    folder: Path
    rows: Sequence[Image] = ()


@dataclass(frozen=True, slots=True)
class ReportInput:
    """Everything the report may show.

    Attributes:
        policy: The policy's name.
        question: The question it asks of a picture.
        metrics: File stem (``measure``, ``curate``, ``convert-onnx``, ...) -> contents.
        verdict: The gate's, or None where it has not run.
        curve: Rows of plots/train.csv, values as text.
        training: Images that were kept for training.
        selfies: The selfies that were measured on.
        predictions: The answers on them.
        rejections: What curation put aside.
        sheets: Contact sheets of curation.
        unread: Photographs among the selfies that could not be read.
        baseline: What was accepted before, or None.
        results: Name of a benchmark of Gossamer itself -> what it found.
    """

    policy: str
    question: str
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    verdict: Verdict | None = None
    curve: Sequence[Mapping[str, str]] = ()
    training: Gallery = Gallery(Path())
    selfies: Gallery = Gallery(Path())
    predictions: Predictions | None = None
    rejections: Sequence[Rejection] = ()
    sheets: Sequence[Path] = ()
    unread: Sequence[Rejection] = ()
    baseline: Baseline | None = None
    results: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReportPaths:
    """Where a chain leaves its outputs; the defaults are those of dvc.yaml, relative to the repository."""

    metrics: Path = Path("metrics")
    curve: Path = Path("plots/train.csv")
    kept: Path = Path("data/kept.jsonl")
    images: Path = Path("data/images")
    rejected: Path = Path("data/rejected.jsonl")
    selfies: Path = Path("data/selfies")
    predictions: Path = Path("data/predictions.parquet")
    sheets: Path = Path("report/curation")
    baseline: Path = Path("benchmarks/baseline")
    results: Path = Path("benchmarks/results")


def read_report_input(paths: ReportPaths, policy: str, question: str) -> ReportInput:
    """Read whatever is there.

    Raises:
        DataError: A file is there and damaged.
    """
    gate = paths.metrics / "gate.json"
    unread = paths.selfies / "rejected.jsonl"
    return ReportInput(
        policy=policy,
        question=question,
        metrics={path.stem: read_metrics(path) for path in sorted(paths.metrics.glob("*.json")) if path != gate},
        verdict=read_json(gate, Verdict) if gate.exists() else None,
        curve=_read_csv(paths.curve) if paths.curve.exists() else (),
        training=Gallery(paths.images, read_rows(paths.kept, Image) if paths.kept.exists() else ()),
        selfies=Gallery(paths.selfies, read_rows(paths.selfies / INDEX, Image) if paths.selfies.exists() else ()),
        predictions=read_predictions(paths.predictions) if paths.predictions.exists() else None,
        rejections=read_rows(paths.rejected, Rejection) if paths.rejected.exists() else (),
        sheets=sorted(path for path in paths.sheets.glob("*") if path.suffix.lower() in SHEET_SUFFIXES),
        unread=read_rows(unread, Rejection) if unread.exists() else (),
        baseline=read_baseline(paths.baseline),
        results={path.stem: read_metrics(path) for path in sorted(paths.results.glob("*.json"))},
    )


def _read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: value for name, value in row.items() if name and value} for row in csv.DictReader(file)]

"""Everything the report shows, read from the outputs of the chain.

Reads metrics/*.json, plots/train.csv, the rows and images of data/, data/predictions.parquet, the contact sheets of
report/curation/, benchmarks/baseline/ and benchmarks/results/*.json. Writes nothing. A missing file leaves a gap that
the report names; a damaged one is an error.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.evaluation.conditions import Conditions
from benchmarks.evaluation.machine_figures import MachineFigures, read_measured_machine
from benchmarks.evaluation.measurement import Measurement, read_measurement
from benchmarks.evaluation.predictions import Predictions, read_predictions
from benchmarks.evaluation.selfie_sets import read_selfie_sets
from benchmarks.gate.baseline import Baseline, read_baseline
from benchmarks.gate.checks.label_verifier import ADVICE
from benchmarks.gate.machine_figures import join_machine_figures, read_gate_machine_figures
from benchmarks.report.experiments.results import ExperimentResults, read_experiment_results
from benchmarks.report.stage_metrics import StageMetrics, read_stage_metrics
from pipeline.config.selfie_params import RENDERED
from pipeline.data.machine_figures import MACHINE_JSON
from pipeline.data.photo_folder import REJECTED
from pipeline.data.photo_listing import SYSTEM_FILE, count_reasons
from pipeline.data.records import Image, Rejection, Verdict
from pipeline.data.storage import read_json, read_rows

SHEET_SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True, slots=True)
class Gallery:
    """Images in a folder of shards."""

    folder: Path
    rows: Sequence[Image] = ()


@dataclass(frozen=True, slots=True)
class ReportInput:
    """Everything the report shows; None or empty where a stage has not run.

    Attributes:
        policy: Name of the policy.
        question: The question it asks about an image.
        measurement: metrics/measure.json.
        timings: Times and memory on this machine, from metrics/machine.json; not where another machine ran ``measure``.
        stages: Metrics of the stages up to ``convert``.
        verdict: metrics/gate.json, with the values that the gate measured on this machine.
        training_curve: Rows of plots/train.csv: column -> value as text.
        training: Images kept for training.
        selfies: Name of each test set -> its images.
        predictions: Probabilities on all test sets.
        rejections: Images that curation rejected.
        contact_sheets: Image files of report/curation/.
        not_taken: Path of a rejected.jsonl beside photographs -> its rows: files of the folder that were not taken.
        baseline: The accepted baseline.
        experiments: Results of benchmarks/results/, which are of other runs.
        conditions: What this run was made with; None where that is unknown.
    """

    policy: str
    question: str
    measurement: Measurement | None = None
    timings: MachineFigures = field(default_factory=MachineFigures)
    stages: StageMetrics = field(default_factory=StageMetrics)
    verdict: Verdict | None = None
    training_curve: Sequence[Mapping[str, str]] = ()
    training: Gallery = Gallery(Path())
    selfies: Mapping[str, Gallery] = field(default_factory=dict)
    predictions: Predictions | None = None
    rejections: Sequence[Rejection] = ()
    contact_sheets: Sequence[Path] = ()
    not_taken: Mapping[str, Sequence[Rejection]] = field(default_factory=dict)
    baseline: Baseline | None = None
    experiments: ExperimentResults = field(default_factory=ExperimentResults)
    conditions: Conditions | None = None

    @property
    def headline(self) -> str:
        """Name of the test set that the verdict stands on."""
        return self.measurement.headline if self.measurement else RENDERED

    @property
    def headline_predictions(self) -> Predictions | None:
        """Probabilities on the headline."""
        return self.predictions.of_set(self.headline) if self.predictions else None

    def selfies_of(self, name: str) -> Gallery:
        """Images of one test set; none where it is missing."""
        return self.selfies.get(name, Gallery(Path()))

    def unmeasured(self) -> dict[str, str]:
        """Place -> why the figures there are missing."""
        reasons = dict(self.measurement.unmeasured) if self.measurement else {}
        for name, figures in self.measurement.other_sets.items() if self.measurement else ():
            reasons |= {f"sets.{name}.{place}": reason for place, reason in figures.unmeasured.items()}
        reasons |= self.timings.unmeasured
        reasons |= {f"metrics/{name}.json": "the stage has not run" for name in self.stages.missing()}
        if self.measurement is None:
            reasons["metrics/measure.json"] = "the stage has not run"
        if self.verdict is None:
            reasons["metrics/gate.json"] = "the gate has not run"
        if self.predictions is None:
            reasons["data/predictions.parquet"] = "no predictions, so no misclassified selfies and no curves"
        verifier = self.stages.curation.verifier if self.stages.curation else None
        if verifier is not None and verifier.weakness():
            reasons["metrics/curate.json label_predictors.verifier"] = f"{verifier.weakness()}, {ADVICE}"
        for place, rows in self.not_taken.items():
            files = [row for row in rows if row.reason != SYSTEM_FILE]
            if files:
                first = f"the first, {files[0].image_id}: {files[0].reason} {files[0].detail}".rstrip()
                reasons[place] = f"files of the folder that were not taken: {count_reasons(files)}; {first}"
        return reasons | self.experiments.unmeasured()


@dataclass(frozen=True, slots=True)
class ReportPaths:
    """Where the chain leaves its outputs; the defaults are those of dvc.yaml, relative to the repository."""

    metrics: Path = Path("metrics")
    training_curve: Path = Path("plots/train.csv")
    kept: Path = Path("data/kept.jsonl")
    images: Path = Path("data/images")
    rejected: Path = Path("data/rejected.jsonl")
    selfies: Path = Path("data/selfies")
    predictions: Path = Path("data/predictions.parquet")
    contact_sheets: Path = Path("report/curation")
    baseline: Path = Path("benchmarks/baseline")
    results: Path = Path("benchmarks/results")


def read_report_input(
    paths: ReportPaths, policy: str, question: str, conditions: Conditions | None = None
) -> ReportInput:
    """Read the outputs that are there.

    Args:
        paths: Where they are.
        policy: Name of the policy; results of benchmarks of another are left out.
        question: The question it asks about an image.
        conditions: What this run was made with.

    Raises:
        DataError: A file is there and damaged.
    """
    measure, gate, machine = (paths.metrics / name for name in ("measure.json", "gate.json", MACHINE_JSON))
    sets = read_selfie_sets(paths.selfies) if paths.selfies.is_dir() else {}
    not_taken = [path / REJECTED for path in (paths.images, *(one.folder for one in sets.values()))]
    measurement = read_measurement(measure) if measure.exists() else None
    return ReportInput(
        policy=policy,
        question=question,
        measurement=measurement,
        timings=read_measured_machine(machine, measurement) if measurement else MachineFigures(),
        stages=read_stage_metrics(paths.metrics),
        verdict=_read_verdict(gate, machine) if gate.exists() else None,
        training_curve=_read_csv(paths.training_curve) if paths.training_curve.exists() else (),
        training=Gallery(paths.images, read_rows(paths.kept, Image) if paths.kept.exists() else ()),
        selfies={name: Gallery(one.folder, one.rows) for name, one in sets.items()},
        predictions=read_predictions(paths.predictions) if paths.predictions.exists() else None,
        rejections=read_rows(paths.rejected, Rejection) if paths.rejected.exists() else (),
        contact_sheets=sorted(path for path in paths.contact_sheets.glob("*") if path.suffix.lower() in SHEET_SUFFIXES),
        not_taken={path.as_posix(): read_rows(path, Rejection) for path in not_taken if path.exists()},
        baseline=read_baseline(paths.baseline),
        experiments=read_experiment_results(paths.results, policy),
        conditions=conditions,
    )


def _read_verdict(gate: Path, machine: Path) -> Verdict:
    return join_machine_figures(read_json(gate, Verdict), read_gate_machine_figures(machine))


def _read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: value for name, value in row.items() if name and value} for row in csv.DictReader(file)]

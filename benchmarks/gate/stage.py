"""Stage: measurement + baseline + limits -> verdict.

Reads metrics/measure.json, metrics/curate.json, data/predictions.parquet and benchmarks/baseline/, and for memory and
latency artifacts/, data/selfies/ and data/baseline/. Writes metrics/gate.json and section ``gate`` of
metrics/machine.json. Every artifact that was measured is checked; ``gate.required`` names the formats that must be
among them. An artifact that the baseline does not have is checked against absolute limits only.

The verdict is fail if any check fails, else unmeasured if any check is (advisory ones apart,
``benchmarks.gate.checks.check_results.ADVISORY``), else pass. Without any check it is unmeasured.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.evaluation.label_verification import LabelVerification
from benchmarks.evaluation.measurement import Measurement, read_measurement
from benchmarks.evaluation.predictions import Predictions, read_predictions
from benchmarks.gate.baseline import NOWHERE, Baseline, Release, read_baseline, write_baseline
from benchmarks.gate.checks.check_results import BASELINE_COMPARABLE
from benchmarks.gate.checks.label_verifier import label_checks
from benchmarks.gate.checks.resource_growth import Bench, closed_bench
from benchmarks.gate.machine_figures import STAGE, GateMachineFigures, split_machine_figures
from benchmarks.gate.provenance import gate_inputs
from benchmarks.gate.verdict import add_checks, decide_verdict, failed_or_missing
from benchmarks.gate.verdict_text import describe_not_passed
from pipeline.config.params import GateParams
from pipeline.data.machine_figures import MACHINE_JSON, record_machine_figures
from pipeline.data.records import Verdict
from pipeline.data.storage import write_json
from pipeline.errors import ReleaseRefusedError

_CLOSED = closed_bench("no bench was given")


@dataclass(frozen=True, slots=True)
class GateResult:
    """What the stage writes: metrics/gate.json, and section ``gate`` of metrics/machine.json."""

    verdict: Verdict
    machine: GateMachineFigures

    def with_labels(self, params: GateParams, labels: LabelVerification) -> GateResult:
        """The result with the check of the training images' labels, where ``params`` require one."""
        return replace(self, verdict=add_checks(self.verdict, label_checks(params, labels)))


def run(
    params: GateParams,
    measurement: Measurement,
    predictions: Predictions,
    baseline: Baseline | None,
    bench: Bench = _CLOSED,
) -> GateResult:
    """Run all checks on one measurement (``decide_verdict``), and set the figures of this machine apart.

    Raises:
        DataError: Measurement and predictions do not belong together.
    """
    verdict = decide_verdict(params, measurement, predictions, baseline, bench)
    inputs = gate_inputs(params, measurement, predictions, baseline)
    return GateResult(*split_machine_figures(verdict.model_copy(update={"inputs": inputs})))


def write(result: GateResult, out: Path) -> None:
    """Write metrics/gate.json, with its section of machine.json beside it."""
    write_json(out, result.verdict)
    record_machine_figures(out.with_name(MACHINE_JSON), STAGE, result.machine.model_dump(mode="json"))


@dataclass(frozen=True, slots=True)
class Candidate:
    """Files of one run that may become the baseline.

    Attributes:
        measurement: metrics/measure.json.
        predictions: data/predictions.parquet.
        bench: Measures its artifacts beside the old baseline's.
        release: The revision its artifacts come from.
        labels: How the labels of its training images were checked; None: it is no part of the verdict.
    """

    measurement: Path
    predictions: Path
    bench: Bench = _CLOSED
    release: Release = NOWHERE
    labels: LabelVerification | None = None


def accept(params: GateParams, candidate: Candidate, folder: Path) -> Verdict:
    """Make a measurement the baseline, after all checks have run once more: a stored verdict may be stale.

    A pass is accepted. So is a verdict that is unmeasured only because the old baseline cannot be compared (other
    selfies, another task, an artifact that is gone): all absolute limits hold then. To lower the bar on purpose, remove
    the old baseline in a commit of its own and accept again.

    Raises:
        ReleaseRefusedError: A check failed, or a figure is missing; names the checks.
        DataError: Files are missing, damaged or do not belong together.
    """
    measurement, predictions = read_measurement(candidate.measurement), read_predictions(candidate.predictions)
    verdict = decide_verdict(params, measurement, predictions, read_baseline(folder), candidate.bench)
    verdict = add_checks(verdict, label_checks(params, candidate.labels) if candidate.labels else ())
    against = [check for check in failed_or_missing(verdict.checks) if check.name != BASELINE_COMPARABLE]
    if against:
        raise ReleaseRefusedError(
            f"{candidate.measurement}: not accepted as the baseline:\n{describe_not_passed(against)}\n"
            f"To lower the bar on purpose: git rm {folder}/accepted.json {folder}/measure.json "
            f"{folder}/predictions.parquet, commit, and accept again"
        )
    rows = measurement.artifacts.values()
    timeable = [row.name for row in rows if not candidate.bench.why_not_timeable(row.format)]
    write_baseline(folder, candidate.measurement, candidate.predictions, candidate.release, timeable)
    return verdict


def refuse_unless_pass(verdict: Verdict) -> None:
    """Let a release go on only where every check passed; a verdict that its checks do not support is refused too.

    Raises:
        ReleaseRefusedError: Names every check that did not pass.
    """
    against = failed_or_missing(verdict.checks)
    if verdict.verdict != "pass" or against or not any(check.verdict == "pass" for check in verdict.checks):
        reasons = describe_not_passed(against) or "  no check supports it; run dvc repro gate"
        raise ReleaseRefusedError(
            f"refused: the verdict is {verdict.verdict}; baseline: {verdict.baseline}\n{reasons}\n"
            "every check with its figures: report/index.html#checks"
        )

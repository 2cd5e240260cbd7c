"""Stage: measurements + baseline + limits -> Verdict. It decides on evidence, and says so where the evidence is thin.

Reads metrics/measure.json, data/predictions.parquet and benchmarks/baseline/, and for time artifacts/, data/selfies/
and data/baseline/; writes metrics/gate.json. Every artifact that was measured is checked; ``gate.required`` names the
formats that must be among them. The checks themselves stand in ``benchmarks.gate.checks``:

    floors       baseline or not: accuracy, its share of the checkpoint's, agreement, size, the camera's distortions
    pairs        against a baseline of the same task on the same selfies, row by row: accuracy, agreement, false
                 negatives and false positives
    slices       every value of every factor, and pairs of factors, so that a mean hides nobody
    resources    size, memory, ARM instructions, and latency: timed anew on this machine beside the baseline's artifacts

An artifact that is new has floors only. Overall: any fail is fail, else any unmeasured is unmeasured (advice apart,
``benchmarks.gate.checks.check_results.ADVISORY``), else pass; nothing to check is unmeasured.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.evaluation.predictions import Predictions, read_predictions
from benchmarks.gate.baseline import NOWHERE, Baseline, Release, read_baseline, write_baseline
from benchmarks.gate.checks.check_results import COMPARABLE, Measured
from benchmarks.gate.checks.resource_growth import Bench, no_bench
from benchmarks.gate.checks.verdict import holding_back, judge
from pipeline.config.params import GateParams
from pipeline.data.records import Check, Verdict
from pipeline.data.storage import read_metrics
from pipeline.errors import ReleaseRefusedError

_NO_BENCH = no_bench("nothing was given to time with")


def run(
    params: GateParams,
    measured: Measured,
    predictions: Predictions,
    baseline: Baseline | None,
    bench: Bench = _NO_BENCH,
) -> Verdict:
    """Judge one set of measurements; see ``benchmarks.gate.checks.verdict.judge``.

    Raises:
        DataError: Measurements and predictions do not belong together.
    """
    return judge(params, measured, predictions, baseline, bench)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Files of one run that may become the baseline, where it is timed, and the revision its artifacts come from."""

    measured: Path
    predictions: Path
    bench: Bench = _NO_BENCH
    release: Release = NOWHERE


def accept(params: GateParams, candidate: Candidate, folder: Path) -> Verdict:
    """Make these measurements the baseline, after judging them once more (a stale verdict is not trusted).

    A pass is accepted. So is a verdict that is unmeasured only because it cannot be compared with the old baseline
    (other selfies, another task, an artifact that is gone), for then every floor has passed. To lower the bar on
    purpose, remove the old baseline in a commit of its own and accept again.

    Raises:
        ReleaseRefusedError: Anything failed, or a figure is missing; names the checks.
        DataError: Files are missing, damaged or do not belong together.
    """
    measured, predictions = candidate.measured, candidate.predictions
    found = read_metrics(measured), read_predictions(predictions), read_baseline(folder)
    verdict = run(params, *found, candidate.bench)
    against = [each for each in holding_back(verdict.checks) if each.name != COMPARABLE]
    if against:
        raise ReleaseRefusedError(
            f"{measured}: not accepted as the baseline:\n{_lines(against)}\n"
            f"To lower the bar on purpose: git rm {folder}/accepted.json {folder}/measure.json "
            f"{folder}/predictions.parquet, commit, and accept again"
        )
    write_baseline(folder, measured, predictions, candidate.release)
    return verdict


def refuse_unless_pass(verdict: Verdict) -> None:
    """Let a release go on only where every check passed; a verdict without checks, or at odds with them, is no pass.

    Raises:
        ReleaseRefusedError: Names every check that did not pass.
    """
    against = holding_back(verdict.checks)
    if verdict.verdict != "pass" or against or not any(each.verdict == "pass" for each in verdict.checks):
        reasons = _lines(against) or "  no check stands behind it"
        raise ReleaseRefusedError(f"refused: the verdict is {verdict.verdict}\n{reasons}\nSee report/index.html")


def _lines(checks: Iterable[Check]) -> str:
    return "\n".join(f"  {each.artifact} {each.name}: {each.verdict}: {each.reason}" for each in checks)

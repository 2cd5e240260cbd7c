"""Stage: measurements + baseline + limits -> Verdict. It decides on evidence, and says so where the evidence is thin.

Reads metrics/measure.json, data/predictions.parquet and benchmarks/baseline/; writes metrics/gate.json. Every artifact
that was measured is checked; ``gate.required`` names the formats that must be among them.

Floors, baseline or not, an artifact:
    accuracy     pass where the lower end of its interval reaches ``min_accuracy``, fail where the upper end does not,
                 otherwise unmeasured: more selfies are needed, and how many is said.
    agreement    the share of decisions equal to the checkpoint's, against ``min_agreement``.
    size_bytes   against ``max_size_bytes``.
Against a baseline of the same task on the same selfies, an artifact that both have:
    accuracy_vs_baseline, agreement_vs_baseline
                 a paired test of non-inferiority, selfie by selfie, with ``non_inferiority_margin``.
    size_growth  against ``max_size_growth``.
An artifact that is new has floors only. Latency is reported, never gated: on a shared machine two runs of the same
model differ by more than any limit worth having.

Overall: any fail is fail, else any unmeasured is unmeasured, else pass; nothing to check is unmeasured.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.baseline import Baseline, read_baseline, write_baseline
from benchmarks.predictions import CHECKPOINT, Predictions, read_predictions
from pipeline.errors import DataError, ReleaseRefusedError
from pipeline.metrics import mcnemar_mid_p, paired_difference_interval, trials_to_exclude
from pipeline.params import GateParams
from pipeline.records import Check, Outcome, Verdict, read_metrics

EVERYTHING = "*"
COMPARABLE = "comparable"
Measured = Mapping[str, Any]
Bools = NDArray[np.bool_]


def run(params: GateParams, measured: Measured, predictions: Predictions, baseline: Baseline | None) -> Verdict:
    """Judge one set of measurements.

    Args:
        params: Floors, margins and the formats that must be there.
        measured: metrics/measure.json.
        predictions: The answers it was computed from.
        baseline: What must not be fallen behind, or None: then floors only.

    Raises:
        DataError: Measurements and predictions do not belong together.
    """
    _check_consistent(measured, predictions)
    checks = [*_required(params, measured)]
    for name in _artifacts(measured):
        checks += _floors(params, measured, name)
    if baseline is not None:
        checks += _against(params, measured, predictions, baseline)
    if not checks:
        checks = [
            Check(name="artifacts", artifact=EVERYTHING, value=0, limit=None, verdict="unmeasured", reason="none")
        ]
    return Verdict(verdict=_overall(checks), baseline=_name(measured, baseline), checks=tuple(checks))


def accept(params: GateParams, measured: Path, predictions: Path, folder: Path) -> Verdict:
    """Make these measurements the baseline, after judging them once more (a stale verdict is not trusted).

    A pass is accepted. So is a verdict that is unmeasured only because it cannot be compared with the old baseline
    (other selfies, another task, an artifact that is gone), for then every floor has passed. To lower the bar on
    purpose, remove the old baseline in a commit of its own and accept again.

    Raises:
        ReleaseRefusedError: Anything failed, or a figure is missing; names the checks.
        DataError: Files are missing, damaged or do not belong together.
    """
    verdict = run(params, read_metrics(measured), read_predictions(predictions), read_baseline(folder))
    against = [each for each in verdict.checks if each.verdict != "pass" and each.name != COMPARABLE]
    if against:
        raise ReleaseRefusedError(
            f"{measured}: not accepted as the baseline:\n{_lines(against)}\n"
            f"To lower the bar on purpose: git rm {folder}/accepted.json {folder}/measure.json "
            f"{folder}/predictions.parquet, commit, and accept again"
        )
    write_baseline(folder, measured, predictions)
    return verdict


def refuse_unless_pass(verdict: Verdict) -> None:
    """Let a release go on only where every check passed; a verdict without checks, or at odds with them, is no pass.

    Raises:
        ReleaseRefusedError: Names every check that did not pass.
    """
    against = [each for each in verdict.checks if each.verdict != "pass"]
    if verdict.verdict != "pass" or against or not verdict.checks:
        reasons = _lines(against) or "  no check stands behind it"
        raise ReleaseRefusedError(f"refused: the verdict is {verdict.verdict}\n{reasons}\nSee report/index.html")


def _lines(checks: Iterable[Check]) -> str:
    return "\n".join(f"  {each.artifact} {each.name}: {each.verdict}: {each.reason}" for each in checks)


def _overall(checks: Iterable[Check]) -> Outcome:
    found = {each.verdict for each in checks}
    return "fail" if "fail" in found else "unmeasured" if "unmeasured" in found else "pass"


def _name(measured: Measured, baseline: Baseline | None) -> str:
    if baseline is None:
        return "none accepted yet: floors only"
    new = sorted(set(_artifacts(measured)) - set(_artifacts(baseline.measured)))
    return baseline.name() + (f"; new, so floors only: {', '.join(new)}" if new else "")


def _artifacts(measured: Measured) -> Mapping[str, Mapping[str, Any]]:
    artifacts = measured.get("artifacts")
    if not isinstance(artifacts, Mapping):
        return {}
    return {name: figures if isinstance(figures, Mapping) else {} for name, figures in artifacts.items()}


def _figure(measured: Measured, artifact: str, name: str) -> float | None:
    """A finite number, or None for whatever else stands there."""
    return _finite(_artifacts(measured).get(artifact, {}).get(name))


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _check_consistent(measured: Measured, predictions: Predictions) -> None:
    for name in _artifacts(measured):
        said = _figure(measured, name, "accuracy")
        if said is None or not predictions.is_whole(name):
            continue
        found = float(np.mean(predictions.decisions(name) == predictions.targets))
        if abs(found - said) > 1e-9:
            raise DataError(
                f"measure.json artifacts.{name}.accuracy: {said:.6f}, but the predictions give {found:.6f}; "
                "expected one run's files; run dvc repro measure"
            )


def _required(params: GateParams, measured: Measured) -> Iterator[Check]:
    for required in params.required:
        count = sum(name.startswith(f"{required}-") for name in _artifacts(measured))
        yield Check(
            name="required",
            artifact=required,
            value=count,
            limit=1,
            verdict="pass" if count else "unmeasured",
            reason=f"{count} measured" if count else "required, and no artifact of this format was measured",
        )


def _floors(params: GateParams, measured: Measured, name: str) -> Iterator[Check]:
    yield _accuracy_floor(params, measured, name)
    agreement, size = _figure(measured, name, "agreement"), _figure(measured, name, "size_bytes")
    yield _limited("agreement", name, agreement, params.min_agreement, at_least=True)
    yield _limited("size_bytes", name, size, params.max_size_bytes, at_least=False)


def _accuracy_floor(params: GateParams, measured: Measured, name: str) -> Check:
    floor = params.min_accuracy
    value, low, high = (_figure(measured, name, f"accuracy{end}") for end in ("", "_low", "_high"))
    if value is None or low is None or high is None:
        return _limited("accuracy", name, None, floor, at_least=True)
    verdict: Outcome = "pass" if low >= floor else "fail" if high < floor else "unmeasured"
    where = {"pass": "above the floor", "fail": "below the floor", "unmeasured": "around the floor"}[verdict]
    reason = f"interval {low:.4f} to {high:.4f}, {where}"
    if verdict == "unmeasured":
        enough = trials_to_exclude(value, floor, _finite(measured.get("confidence")) or 0.95)
        more = f"about {enough} selfies would tell" if enough else "no number of selfies would tell"
        reason += f": needs more selfies; at this accuracy {more}"
    return Check(name="accuracy", artifact=name, value=value, limit=floor, verdict=verdict, reason=reason)


def _limited(check: str, artifact: str, value: float | None, limit: float, *, at_least: bool) -> Check:
    if value is None:
        return Check(name=check, artifact=artifact, value=None, limit=limit, verdict="unmeasured", reason="no figure")
    holds = value >= limit if at_least else value <= limit
    sign = ">=" if at_least else "<="
    reason = f"{_text(value)} {sign if holds else 'is not ' + sign} {_text(limit)}"
    return Check(
        name=check, artifact=artifact, value=value, limit=limit, verdict="pass" if holds else "fail", reason=reason
    )


def _text(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _against(params: GateParams, measured: Measured, predictions: Predictions, baseline: Baseline) -> Iterator[Check]:
    problem = _incomparable(predictions, baseline.predictions)
    if problem:
        yield _unmeasured(COMPARABLE, EVERYTHING, problem)
        return
    rows = {key: row for row, key in enumerate(baseline.predictions.ids)}
    order = np.array([rows[key] for key in predictions.ids], np.int64)
    for name in _artifacts(baseline.measured):
        if name not in _artifacts(measured):
            yield _unmeasured(COMPARABLE, name, "the baseline has this artifact and this run has not")
            continue
        pair = _Pair(name, predictions, baseline.predictions, order)
        yield _not_inferior(params, pair, "accuracy_vs_baseline")
        yield _not_inferior(params, pair, "agreement_vs_baseline")
        new, old = _figure(measured, name, "size_bytes"), _figure(baseline.measured, name, "size_bytes")
        growth = new / old - 1 if new is not None and old else None
        yield _limited("size_growth", name, growth, params.max_size_growth, at_least=False)


def _incomparable(new: Predictions, old: Predictions) -> str:
    """Why two tables cannot be paired; empty where they can."""
    if new.labels != old.labels:
        return f"another task: labels {', '.join(new.labels)}; the baseline's are {', '.join(old.labels)}"
    if new.dataset_id() != old.dataset_id():
        shared = len(set(zip(new.ids, new.sha256, strict=True)) & set(zip(old.ids, old.sha256, strict=True)))
        return f"other selfies: {shared} of {len(new.ids)} are among the baseline's {len(old.ids)}"
    return ""


def _unmeasured(check: str, artifact: str, reason: str) -> Check:
    return Check(name=check, artifact=artifact, value=None, limit=None, verdict="unmeasured", reason=reason)


@dataclass(frozen=True, slots=True)
class _Pair:
    """One artifact in two tables of the same selfies; ``order`` brings the old rows into the new one's order."""

    artifact: str
    new: Predictions
    old: Predictions
    order: NDArray[np.int64]

    def successes(self, check: str) -> tuple[Bools, Bools] | None:
        """(old, new) rows that count: right ones for accuracy, those equal to the own checkpoint's for agreement."""
        against_truth = check.startswith("accuracy")
        needed = (self.artifact,) if against_truth else (self.artifact, CHECKPOINT)
        if not all(table.is_whole(column) for table in (self.new, self.old) for column in needed):
            return None
        new, old = (
            table.decisions(self.artifact) == (table.targets if against_truth else table.decisions(CHECKPOINT))
            for table in (self.new, self.old)
        )
        return old[self.order], new


def _not_inferior(params: GateParams, pair: _Pair, check: str) -> Check:
    """Test whether a share fell by less than the margin, on the same rows.

    Pass where the one-sided interval at ``alpha`` excludes a fall of the margin or more. Fail where it holds nothing
    else, or where the fall is significant (McNemar's mid-p below ``alpha``) and its estimate beyond the margin.
    Otherwise unmeasured: the selfies are too few to tell.
    """
    margin, found = params.non_inferiority_margin, pair.successes(check)
    if found is None:
        return _limited(check, pair.artifact, None, -margin, at_least=True)
    old, new = found
    low, high = paired_difference_interval(old, new, 1 - 2 * params.alpha)
    lost, gained = int(np.sum(old & ~new)), int(np.sum(~old & new))
    fall, mid_p = (gained - lost) / len(new), mcnemar_mid_p(lost, gained)
    worse = high < -margin or (fall < -margin and mid_p < params.alpha)
    verdict: Outcome = "pass" if low > -margin else "fail" if worse else "unmeasured"
    reason = (
        f"{lost} lost, {gained} gained of {len(new)}; interval {low:+.4f} to {high:+.4f}; McNemar mid-p {mid_p:.3g}"
    )
    if verdict == "unmeasured":
        reason += f"; needs more selfies: {_selfies_needed(params, fall, (lost + gained + 1) / (len(new) + 2))}"
    return Check(name=check, artifact=pair.artifact, value=fall, limit=-margin, verdict=verdict, reason=reason)


def _selfies_needed(params: GateParams, difference: float, discordance: float) -> str:
    distance = abs(difference + params.non_inferiority_margin)
    if distance < 1e-6:
        return "the difference lies on the margin, and no number would tell"
    z = float(stats.norm.ppf(1 - params.alpha))
    return f"about {math.ceil(z * z * max(discordance - difference**2, 1e-9) / distance**2)} would tell"

"""Content of report/summary.md, the comment on a pull request, and of ``gossamer verdict``.

GitHub refuses a comment of more than 65,536 characters. Rows of a table, groups of checks, names in a list and the
length of each text are limited, so that the comment stays below that whatever the number of artifacts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.evaluation.predictions import CHECKPOINT
from benchmarks.report.baseline_changes import ArtifactChanges, BaselineChanges, compare_with_baseline
from benchmarks.report.inputs import ReportInput
from benchmarks.report.sections.slice_table import SliceRow
from pipeline.data.records import Check, Verdict

MAX_CHARACTERS = 65_536
"""Longest comment that GitHub accepts."""
VERDICT_ORDER = {"fail": 0, "unmeasured": 1, "pass": 2}
_MAX_ROWS, _MAX_GROUPS, _MAX_NAMES = 40, 12, 5


@dataclass(frozen=True, slots=True)
class ReasonGroup:
    """Items that share a verdict and are listed in one line.

    Attributes:
        kind: Name of the check; "" for figures that are unmeasured.
        names: The first names.
        more: How many further names there are.
        reason: Why; of several checks, the reason of the one farthest from its limit.
        verdict: "fail" or "unmeasured".
    """

    kind: str
    names: tuple[str, ...]
    more: int
    reason: str
    verdict: str


@dataclass(frozen=True, slots=True)
class CheckCount:
    """Verdicts of all checks of one name; ``limit`` is None where they have several limits or none."""

    name: str
    limit: float | None
    passed: int
    failed: int
    unmeasured: int


@dataclass(frozen=True, slots=True)
class NamedCost:
    """Expected cost per 1,000 decisions of one artifact."""

    value: float
    artifact: str


@dataclass(frozen=True, slots=True)
class CostSummary:
    """Expected cost per 1,000 decisions, in the policy's unit; None where there is none to show."""

    checkpoint: float
    baseline: float | None
    lowest: NamedCost | None
    highest: NamedCost | None


@dataclass(frozen=True, slots=True)
class ArtifactRow:
    """A row of the table of artifacts; ``checks`` counts the verdicts of its checks, as text."""

    changes: ArtifactChanges
    checks: str


@dataclass(frozen=True, slots=True)
class Comment:
    """What the comment shows and the page does not.

    Attributes:
        changes: Changes since the baseline.
        rows: Rows of the table of artifacts.
        rows_left_out: Rows that exceed the limit.
        not_passed: Groups of checks that did not pass.
        not_passed_left_out: Groups that exceed the limit.
        counts: Checks by name.
        cost: Expected cost of wrong decisions; None where it is unmeasured.
        worst_slice_before: The baseline's accuracy on the worst slice; None where the two cannot be compared.
        unmeasured: Figures that are unmeasured, grouped by reason.
        unmeasured_left_out: Groups that exceed the limit.
    """

    changes: BaselineChanges
    rows: Sequence[ArtifactRow]
    rows_left_out: int
    not_passed: Sequence[ReasonGroup]
    not_passed_left_out: int
    counts: Sequence[CheckCount]
    cost: CostSummary | None
    worst_slice_before: float | None
    unmeasured: Sequence[ReasonGroup]
    unmeasured_left_out: int


def build_comment(inputs: ReportInput, unmeasured: Mapping[str, str], worst: SliceRow | None) -> Comment:
    """Build the comment.

    Args:
        inputs: The outputs of the chain.
        unmeasured: Place -> why the figures there are missing.
        worst: The slice with the lowest accuracy.
    """
    checks = inputs.verdict.checks if inputs.verdict else ()
    changes = compare_with_baseline(inputs.measurement, inputs.timings, inputs.predictions, inputs.baseline, checks)
    rows = [ArtifactRow(row, describe_checks(row.name, checks)) for row in changes.rows]
    if len(rows) > _MAX_ROWS:
        rows.sort(key=lambda row: "fail" not in row.checks)
    not_passed, reasons = group_not_passed(checks), _group_reasons(unmeasured)
    return Comment(
        changes=changes,
        rows=rows[:_MAX_ROWS],
        rows_left_out=max(len(rows) - _MAX_ROWS, 0),
        not_passed=not_passed[:_MAX_GROUPS],
        not_passed_left_out=max(len(not_passed) - _MAX_GROUPS, 0),
        counts=count_checks(checks)[:_MAX_ROWS],
        cost=_cost(inputs),
        worst_slice_before=None if changes.incomparable else _baseline_accuracy(inputs, worst),
        unmeasured=reasons[:_MAX_GROUPS],
        unmeasured_left_out=max(len(reasons) - _MAX_GROUPS, 0),
    )


def group_not_passed(checks: Iterable[Check]) -> list[ReasonGroup]:
    """Checks that did not pass, one group per name and verdict, failures first."""
    groups: dict[tuple[str, str], list[Check]] = defaultdict(list)
    for check in checks:
        if check.verdict != "pass":
            groups[check.verdict, check.name].append(check)
    ordered = sorted(groups.items(), key=lambda group: VERDICT_ORDER[group[0][0]])
    return [_check_group(name, verdict, members) for (verdict, name), members in ordered]


def count_checks(checks: Iterable[Check]) -> list[CheckCount]:
    """Verdicts by name of the check, in the order of the gate."""
    groups: dict[str, list[Check]] = defaultdict(list)
    for check in checks:
        groups[check.name].append(check)
    return [_count(name, members) for name, members in groups.items()]


def describe_checks(artifact: str, checks: Iterable[Check]) -> str:
    """Verdicts of an artifact's checks, e.g. "1 fail, 2 unmeasured" or "9 pass"; "" where it has none."""
    counts = Counter(check.verdict for check in checks if check.artifact == artifact)
    not_passed = [f"{counts[verdict]} {verdict}" for verdict in ("fail", "unmeasured") if counts[verdict]]
    return ", ".join(not_passed) or (f"{counts['pass']} pass" if counts else "")


def only_unmeasured(verdict: Verdict) -> bool:
    """Whether the verdict is unmeasured and no check failed."""
    return verdict.verdict == "unmeasured" and all(check.verdict != "fail" for check in verdict.checks)


def verdict_text(verdict: Verdict) -> str:
    """The verdict and the checks that did not pass, for a terminal."""
    passed = sum(check.verdict == "pass" for check in verdict.checks)
    lines = [f"{verdict.verdict}: {passed} of {len(verdict.checks)} checks pass; baseline: {verdict.baseline}"]
    for group in group_not_passed(verdict.checks):
        more = f" and {group.more} more" if group.more else ""
        lines.append(f"  {group.verdict}: {group.kind}: {', '.join(group.names)}{more}: {group.reason}")
    return "\n".join(lines)


def _check_group(name: str, verdict: str, checks: Sequence[Check]) -> ReasonGroup:
    farthest_first = sorted(checks, key=_distance_from_limit, reverse=True)
    names = ["all" if check.artifact == "*" else check.artifact for check in farthest_first]
    return _reason_group(name, names, farthest_first[0].reason, verdict)


def _reason_group(kind: str, names: Sequence[str], reason: str, verdict: str) -> ReasonGroup:
    return ReasonGroup(kind, tuple(names[:_MAX_NAMES]), max(len(names) - _MAX_NAMES, 0), reason, verdict)


def _distance_from_limit(check: Check) -> float:
    """Distance of the value from the limit, relative to the limit; 0 where either is missing."""
    if check.value is None or check.limit is None:
        return 0.0
    return abs(check.value - check.limit) / (abs(check.limit) or 1.0)


def _count(name: str, checks: Sequence[Check]) -> CheckCount:
    counts, limits = Counter(check.verdict for check in checks), {check.limit for check in checks}
    limit = limits.pop() if len(limits) == 1 else None
    return CheckCount(name, limit, counts["pass"], counts["fail"], counts["unmeasured"])


def _group_reasons(unmeasured: Mapping[str, str]) -> list[ReasonGroup]:
    names: dict[str, list[str]] = defaultdict(list)
    for name, reason in unmeasured.items():
        names[reason].append(name)
    return [_reason_group("", members, reason, "unmeasured") for reason, members in names.items()]


def _cost(inputs: ReportInput) -> CostSummary | None:
    costs = inputs.measurement.cost_per_1000 if inputs.measurement else {}
    if CHECKPOINT not in costs:
        return None
    baseline = inputs.baseline.measurement.cost_per_1000.get(CHECKPOINT) if inputs.baseline else None
    artifacts = [NamedCost(cost.overall, name) for name, cost in costs.items() if name != CHECKPOINT]
    return CostSummary(
        checkpoint=costs[CHECKPOINT].overall,
        baseline=baseline.overall if baseline else None,
        lowest=min(artifacts, key=_by_value, default=None),
        highest=max(artifacts, key=_by_value, default=None),
    )


def _by_value(cost: NamedCost) -> tuple[float, str]:
    return cost.value, cost.artifact


def _baseline_accuracy(inputs: ReportInput, row: SliceRow | None) -> float | None:
    if row is None or inputs.baseline is None:
        return None
    figures = inputs.baseline.measurement.slices.get(row.factor, {}).get(row.value)
    return figures.accuracy.value if figures and figures.accuracy else None

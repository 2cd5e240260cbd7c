"""Content of report/summary.md, the comment on a pull request.

GitHub refuses a comment of more than 65,536 characters. Rows of a table, groups of checks, names in a list and the
length of each text are limited, so that the comment stays below that whatever the number of artifacts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.evaluation.predictions import CHECKPOINT
from benchmarks.gate.verdict_text import CheckGroup, group_not_passed, kind_of
from benchmarks.report.baseline_changes import ArtifactChanges, BaselineChanges, compare_with_baseline
from benchmarks.report.inputs import ReportInput
from benchmarks.report.sections.slice_table import SliceRow
from pipeline.data.records import Check

MAX_CHARACTERS = 65_536
"""Longest comment that GitHub accepts."""
_MAX_ROWS, _MAX_GROUPS, _MAX_NAMES = 40, 12, 5


@dataclass(frozen=True, slots=True)
class GapGroup:
    """Figures that are missing for the same reason: the first names, and how many further names there are."""

    names: tuple[str, ...]
    more: int
    reason: str


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
    not_passed: Sequence[CheckGroup]
    not_passed_left_out: int
    counts: Sequence[CheckCount]
    cost: CostSummary | None
    worst_slice_before: float | None
    unmeasured: Sequence[GapGroup]
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


def count_checks(checks: Iterable[Check]) -> list[CheckCount]:
    """Verdicts by name of the check and by test set, in the order of the gate."""
    groups: dict[str, list[Check]] = defaultdict(list)
    for check in checks:
        groups[kind_of(check)].append(check)
    return [_count(name, members) for name, members in groups.items()]


def describe_checks(artifact: str, checks: Iterable[Check]) -> str:
    """Verdicts of an artifact's checks, e.g. "1 fail, 2 unmeasured" or "9 pass"; "" where it has none."""
    counts = Counter(check.verdict for check in checks if check.artifact == artifact)
    not_passed = [f"{counts[verdict]} {verdict}" for verdict in ("fail", "unmeasured") if counts[verdict]]
    return ", ".join(not_passed) or (f"{counts['pass']} pass" if counts else "")


def _count(name: str, checks: Sequence[Check]) -> CheckCount:
    counts, limits = Counter(check.verdict for check in checks), {check.limit for check in checks}
    limit = limits.pop() if len(limits) == 1 else None
    return CheckCount(name, limit, counts["pass"], counts["fail"], counts["unmeasured"])


def _group_reasons(unmeasured: Mapping[str, str]) -> list[GapGroup]:
    names: dict[str, list[str]] = defaultdict(list)
    for name, reason in unmeasured.items():
        names[reason].append(name)
    return [
        GapGroup(tuple(members[:_MAX_NAMES]), max(len(members) - _MAX_NAMES, 0), reason)
        for reason, members in names.items()
    ]


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

"""Pure: evidence -> what report/summary.md says, short enough for a comment on GitHub however many artifacts there are.

GitHub refuses a comment of more than 65,536 characters. Everything here is counted or cut, so that the sum stays below:
rows of a table, kinds of failed checks, names in a list, and the length of each text (``cell``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.report.baseline_changes import Delta, DeltaRow, Deltas, deltas
from benchmarks.report.inputs import ReportInput
from pipeline.data.records import Check, Verdict

LIMIT = 65_536
"""Characters that GitHub takes in one comment."""
_ROWS, _KINDS, _NAMES, _TEXT = 40, 12, 5, 240
_ORDER = {"fail": 0, "unmeasured": 1, "pass": 2}


@dataclass(frozen=True, slots=True)
class Told:
    """Things of one kind in one line: the first names, how many more there are, and why."""

    kind: str
    names: tuple[str, ...]
    more: int
    reason: str
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class CheckCount:
    """A check of the gate by name: its limit (None where it has several or none), and how it came out how often."""

    name: str
    limit: float | None
    passed: int
    failed: int
    unmeasured: int


@dataclass(frozen=True, slots=True)
class Cost:
    """Expected cost per 1,000 checks, in the policy's units; the dearest and the cheapest artifact with their names."""

    checkpoint: float
    baseline: float | None
    least: tuple[float, str] | None
    most: tuple[float, str] | None


@dataclass(frozen=True, slots=True)
class Comment:
    """What the template of report/summary.md shows beside what the page shows too."""

    changes: Deltas
    rows: Sequence[tuple[DeltaRow, str]]
    left_out: int
    against: Sequence[Told]
    against_left_out: int
    counts: Sequence[CheckCount]
    cost: Cost | None
    worst_before: float | None
    gaps: Sequence[Told]
    gaps_left_out: int


def comment(found: ReportInput, gaps: Mapping[str, str], worst: tuple[str, str] | None) -> Comment:
    """Gather the comment.

    Args:
        found: What the chain left.
        gaps: What was not measured -> why.
        worst: Factor and value of the worst slice.
    """
    measured = found.metrics.get("measure", {})
    checks = found.verdict.checks if found.verdict else ()
    changes = deltas(measured, found.predictions, found.baseline, checks)
    rows = [(row, judged(row.name, checks)) for row in changes.rows]
    if len(rows) > _ROWS:
        rows.sort(key=lambda row: "fail" not in row[1])
    against, told_gaps = grouped(checks), _by_reason(gaps)
    before = found.baseline.measurement.model_dump(mode="json")["slices"] if found.baseline and not changes.why else {}
    return Comment(
        changes=changes,
        rows=rows[:_ROWS],
        left_out=max(len(rows) - _ROWS, 0),
        against=against[:_KINDS],
        against_left_out=max(len(against) - _KINDS, 0),
        counts=counted(checks)[:_ROWS],
        cost=_cost(found),
        worst_before=before.get(worst[0], {}).get(worst[1], {}).get("accuracy") if worst else None,
        gaps=told_gaps[:_KINDS],
        gaps_left_out=max(len(told_gaps) - _KINDS, 0),
    )


def grouped(checks: Iterable[Check]) -> list[Told]:
    """What did not pass, a line for each check and verdict, fails first; the reason is that of the farthest off."""
    kinds: dict[tuple[str, str], list[Check]] = defaultdict(list)
    for each in checks:
        if each.verdict != "pass":
            kinds[each.verdict, each.name].append(each)
    ordered = sorted(kinds.items(), key=lambda kind: _ORDER[kind[0][0]])
    return [_told(name, sorted(each, key=_distance, reverse=True), verdict) for (verdict, name), each in ordered]


def counted(checks: Iterable[Check]) -> list[CheckCount]:
    """Checks by name, in the gate's order."""
    by_name: dict[str, list[Check]] = defaultdict(list)
    for each in checks:
        by_name[each.name].append(each)
    return [_count(name, each) for name, each in by_name.items()]


def judged(artifact: str, checks: Iterable[Check]) -> str:
    """How an artifact's own checks came out, in a few words; empty where it has none."""
    found = [each.verdict for each in checks if each.artifact == artifact]
    against = [f"{found.count(verdict)} {verdict}" for verdict in ("fail", "unmeasured") if verdict in found]
    return ", ".join(against) if against else f"{len(found)} pass" if found else ""


def only_unmeasured(verdict: Verdict) -> bool:
    """Whether nothing speaks against a release but that something could not be told."""
    return verdict.verdict == "unmeasured" and all(each.verdict != "fail" for each in verdict.checks)


def verdict_text(verdict: Verdict) -> str:
    """The verdict and what stands against it, as a terminal shows it."""
    passed = sum(each.verdict == "pass" for each in verdict.checks)
    lines = [f"{verdict.verdict}: {passed} of {len(verdict.checks)} checks pass; baseline: {verdict.baseline}"]
    for each in grouped(verdict.checks):
        more = f" and {each.more} more" if each.more else ""
        lines.append(f"  {each.verdict}: {each.kind}: {', '.join(each.names)}{more}: {each.reason}")
    return "\n".join(lines)


def cell(text: object, most: int = _TEXT) -> str:
    """Text that cannot break a Markdown table or start markup in it, cut where it is long."""
    plain = " ".join(str(text).split())
    plain = plain if len(plain) <= most else f"{plain[: most - 1].rstrip()}\u2026"
    for mark in "\\`*_[]<>|~":
        plain = plain.replace(mark, f"\\{mark}" if mark not in "<>" else {"<": "&lt;", ">": "&gt;"}[mark])
    return plain


def arrow(delta: Delta, shown: str) -> str:
    """A change as a reader sees it: where to, how far, and whether that is good; empty where there is none."""
    if delta.change is None:
        return ""
    if delta.tone == "same":
        return " ="
    way = "\u2191" if delta.change > 0 else "\u2193" if delta.change < 0 else "\u2192"
    return f" {way}\u00a0{shown} {f'**{delta.tone}**' if delta.tone == 'worse' else delta.tone}"


def _told(kind: str, checks: Sequence[Check], verdict: str) -> Told:
    names = tuple("all" if each.artifact == "*" else each.artifact for each in checks)
    return Told(kind, names[:_NAMES], max(len(names) - _NAMES, 0), checks[0].reason, verdict)


def _distance(check: Check) -> float:
    if check.value is None or check.limit is None:
        return 0.0
    return abs(check.value - check.limit) / (abs(check.limit) or 1.0)


def _count(name: str, checks: Sequence[Check]) -> CheckCount:
    found, limits = [each.verdict for each in checks], {each.limit for each in checks}
    limit = limits.pop() if len(limits) == 1 else None
    return CheckCount(name, limit, found.count("pass"), found.count("fail"), found.count("unmeasured"))


def _by_reason(gaps: Mapping[str, str]) -> list[Told]:
    reasons: dict[str, list[str]] = defaultdict(list)
    for name, why in gaps.items():
        reasons[why].append(name)
    return [
        Told("", tuple(names[:_NAMES]), max(len(names) - _NAMES, 0), why, "unmeasured")
        for why, names in reasons.items()
    ]


def _cost(found: ReportInput) -> Cost | None:
    costs = _overall(found.metrics.get("measure", {}))
    ours = costs.pop("checkpoint", None)
    if ours is None:
        return None
    before = _overall(found.baseline.measurement.model_dump(mode="json")).get("checkpoint") if found.baseline else None
    artifacts = [(cost, name) for name, cost in costs.items()]
    return Cost(ours, before, min(artifacts, default=None), max(artifacts, default=None))


def _overall(measured: Mapping[str, Any]) -> dict[str, float]:
    return {name: each["overall"] for name, each in measured.get("cost_per_1000", {}).items() if "overall" in each}

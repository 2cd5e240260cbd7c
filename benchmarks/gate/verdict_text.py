"""A verdict in words: one line per kind of check that did not pass, whatever the number of artifacts.

Pure. ``gossamer verdict``, a refused release, a refused baseline, the report and the comment show the same lines.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.gate.checks.check_results import ALL_ARTIFACTS, NO_FIGURE, is_advisory
from pipeline.data.records import Check, Outcome, Verdict

VERDICT_ORDER: dict[Outcome, int] = {"fail": 0, "unmeasured": 1, "pass": 2}
_MAX_NAMES = 5


@dataclass(frozen=True, slots=True)
class CheckGroup:
    """All checks of one name on one test set that have the same verdict, which is not a pass.

    Attributes:
        kind: Name of the checks, and of the test set unless it is the headline.
        verdict: "fail" or "unmeasured".
        names: The first artifacts, those farthest from the limit first; "all" where a check concerns all of them.
        more: How many further artifacts there are.
        reason: Why; of several reasons the first artifact's, which then names it.
        advisory: Whether a release goes on regardless.
    """

    kind: str
    verdict: Outcome
    names: tuple[str, ...]
    more: int
    reason: str
    advisory: bool = False


def group_not_passed(checks: Iterable[Check]) -> list[CheckGroup]:
    """Checks that did not pass, one group per kind and verdict: failures first, advisory ones last."""
    groups: dict[tuple[Outcome, str], list[Check]] = defaultdict(list)
    for check in checks:
        if check.verdict != "pass":
            groups[check.verdict, kind_of(check)].append(check)
    made = [_group(kind, verdict, members) for (verdict, kind), members in groups.items()]
    return sorted(made, key=lambda group: (VERDICT_ORDER[group.verdict], group.advisory))


def kind_of(check: Check) -> str:
    """Name of a check, with that of its test set unless it is the headline, e.g. "accuracy (on street)"."""
    return f"{check.name} (on {check.test_set})" if check.test_set else check.name


def describe_not_passed(checks: Iterable[Check]) -> str:
    """One line per group, for a terminal."""
    return "\n".join(f"  {_line(group)}" for group in group_not_passed(checks))


def describe_verdict(verdict: Verdict) -> str:
    """The verdict and the checks that did not pass, for a terminal."""
    passed = sum(check.verdict == "pass" for check in verdict.checks)
    on_set = f"on the test set {verdict.headline}"
    head = f"{verdict.verdict}: {passed} of {len(verdict.checks)} checks pass, {on_set}; baseline: {verdict.baseline}"
    return "\n".join(filter(None, (head, describe_not_passed(verdict.checks))))


def only_unmeasured(verdict: Verdict) -> bool:
    """Whether the verdict is unmeasured and no check failed."""
    return verdict.verdict == "unmeasured" and all(check.verdict != "fail" for check in verdict.checks)


def _line(group: CheckGroup) -> str:
    more = f" and {group.more} more" if group.more else ""
    advisory = " (blocks no release)" if group.advisory else ""
    return f"{group.verdict}{advisory}: {group.kind}: {', '.join(group.names)}{more}: {group.reason}"


def _group(kind: str, verdict: Outcome, checks: Sequence[Check]) -> CheckGroup:
    ordered = sorted(checks, key=lambda check: _urgency(check, verdict), reverse=True)
    names = tuple("all" if check.artifact == ALL_ARTIFACTS else check.artifact for check in ordered)
    more = max(len(names) - _MAX_NAMES, 0)
    advisory = verdict == "unmeasured" and all(map(is_advisory, checks))
    return CheckGroup(kind, verdict, names[:_MAX_NAMES], more, _reason(ordered, names), advisory)


def _reason(checks: Sequence[Check], names: Sequence[str]) -> str:
    """The reason of all checks, or the first one's, with the artifacts that have no figure at all."""
    first = checks[0].reason
    if all(check.reason == first for check in checks):
        return first
    missing = [name for check, name in zip(checks, names, strict=True) if check.reason.startswith(NO_FIGURE)]
    others = f"; {', '.join(missing[:_MAX_NAMES])}: {NO_FIGURE}" if missing and names[0] not in missing else ""
    return f"{'the worst is' if checks[0].verdict == 'fail' else 'e.g.'} {names[0]}: {first}{others}"


def _urgency(check: Check, verdict: Outcome) -> float:
    """Distance of the value from the limit, relative to the limit; an undecided check is the worse the nearer it is."""
    if check.value is None or check.limit is None:
        return 0.0 if verdict == "fail" else -float("inf")
    distance = abs(check.value - check.limit) / (abs(check.limit) or 1.0)
    return distance if verdict == "fail" else -distance

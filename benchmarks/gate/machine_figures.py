"""What the gate measured on this machine: the values behind its checks of memory and latency.

metrics/gate.json is tracked, so it holds the verdicts of these checks and nothing that another machine would measure
differently. Their values and reasons stand in section ``gate`` of metrics/machine.json, which git ignores. Both are
joined again where a person reads them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import ValidationError

from benchmarks.gate.checks.check_results import IDENTICAL, LATENCY, MEMORY
from pipeline.data.machine_figures import MACHINE_JSON, read_machine_figures
from pipeline.data.records import Check, Outcome, Record, Verdict
from pipeline.data.storage import read_json

STAGE = "gate"
_REASONS: dict[Outcome, str] = {
    "pass": "within the limit on the machine that ran the gate",
    "fail": "beyond the limit on the machine that ran the gate",
    "unmeasured": "not decided on the machine that ran the gate",
}


class CheckFigure(Record):
    """Value and reason of one check on this machine."""

    name: str
    artifact: str
    value: float
    reason: str


class GateMachineFigures(Record):
    """Section ``gate`` of metrics/machine.json.

    Attributes:
        verdict_id: ``verdict_id`` of the verdict these figures belong to.
        checks: Figures of the checks of memory and latency.
    """

    verdict_id: str = ""
    checks: tuple[CheckFigure, ...] = ()


def verdict_id(verdict: Verdict) -> str:
    """SHA-256 of a verdict without machine figures."""
    return hashlib.sha256(verdict.model_dump_json().encode()).hexdigest()


def split_machine_figures(verdict: Verdict) -> tuple[Verdict, GateMachineFigures]:
    """Take the figures of this machine out of a verdict."""
    figures = [
        CheckFigure(name=check.name, artifact=check.artifact, value=check.value, reason=check.reason)
        for check in verdict.checks
        if _is_of_this_machine(check) and check.value is not None
    ]
    checks = tuple(
        check.model_copy(update={"value": None, "reason": _REASONS[check.verdict]})
        if _is_of_this_machine(check)
        else check
        for check in verdict.checks
    )
    tracked = verdict.model_copy(update={"checks": checks})
    return tracked, GateMachineFigures(verdict_id=verdict_id(tracked), checks=tuple(figures))


def join_machine_figures(verdict: Verdict, figures: GateMachineFigures) -> Verdict:
    """Put the figures back; those of another verdict, e.g. of another machine's, are ignored."""
    if figures.verdict_id != verdict_id(verdict):
        return verdict
    known = {(figure.name, figure.artifact): figure for figure in figures.checks}
    checks = [
        check.model_copy(update={"value": figure.value, "reason": figure.reason}) if figure else check
        for check in verdict.checks
        for figure in [known.get((check.name, check.artifact))]
    ]
    return verdict.model_copy(update={"checks": tuple(checks)})


def read_gate_machine_figures(path: Path) -> GateMachineFigures:
    """Read the section; without figures where it is missing or of another version.

    Args:
        path: metrics/machine.json.
    """
    try:
        return GateMachineFigures.model_validate(read_machine_figures(path).get(STAGE, {}))
    except ValidationError:
        return GateMachineFigures()


def read_verdict(path: Path) -> Verdict:
    """Read metrics/gate.json, with the figures of this machine where it ran the gate.

    Raises:
        DataError: The file is missing or not a verdict.
    """
    return join_machine_figures(read_json(path, Verdict), read_gate_machine_figures(path.with_name(MACHINE_JSON)))


def _is_of_this_machine(check: Check) -> bool:
    return check.name in {MEMORY, LATENCY} and check.value is not None and check.reason != IDENTICAL

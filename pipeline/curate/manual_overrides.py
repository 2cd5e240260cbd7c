"""Manual decisions override the findings of the checks.

A keep overrides every check except ``unreadable``, because an image that cannot be decoded cannot be trained on. A drop
always applies. The checks themselves ignore decisions: a near duplicate of a dropped image stays rejected as its
duplicate. Reads and writes no files.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from pipeline.curate.findings import Finding
from pipeline.curate.manual_decisions import resolve_decisions
from pipeline.data.records import Decision, Image

REASON = "decision"
MAX_LISTED = 3


def apply_overrides(
    findings: dict[int, Finding], images: Sequence[Image], decisions: Sequence[Decision]
) -> dict[str, int]:
    """Add and remove findings as a person decided; print a warning about decisions that apply to no image.

    Args:
        findings: Row of an image -> finding of the checks; changed in place.
        images: All images, in order.
        decisions: Rows of data/decisions.jsonl.

    Returns:
        Number of images ``kept`` and ``dropped`` by decisions, and of decisions that are ``unknown`` (no image has the
        id) or ``stale`` (the image has been generated again since).
    """
    resolved = resolve_decisions(decisions, images)
    kept = dropped = 0
    for row, decision in resolved.by_row.items():
        finding = findings.get(row)
        if decision.decision == "drop":
            findings[row] = _drop_finding(decision, finding)
            dropped += 1
        elif finding is None or finding.reason != "unreadable":
            findings.pop(row, None)
            kept += 1
    _warn(resolved.unknown, "no image has the id")
    _warn(resolved.stale, "the image has been generated again since; review it again: gossamer review")
    return {"kept": kept, "dropped": dropped, "unknown": len(resolved.unknown), "stale": len(resolved.stale)}


def _drop_finding(decision: Decision, finding: Finding | None) -> Finding:
    summary = "nothing"
    if finding is not None:
        summary = f"{finding.reason} {finding.score:.3f}" + (f", {finding.detail}" if finding.detail else "")
    date = decision.decided_at.date().isoformat()
    return Finding(REASON, 0.0, 1.0, f"dropped by a person on {date}; the checks said: {summary}")


def _warn(decisions: Sequence[Decision], cause: str) -> None:
    if decisions:
        ids = ", ".join(decision.image_id for decision in decisions[:MAX_LISTED])
        more = f" and {len(decisions) - MAX_LISTED} more" if len(decisions) > MAX_LISTED else ""
        console = Console(stderr=True, soft_wrap=True)
        console.print(escape(f"curate: decisions not applied: {ids}{more}: {cause}"))

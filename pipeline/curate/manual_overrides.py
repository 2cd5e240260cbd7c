"""A person's decisions overrule what the checks of curation found.

A keep stands against every check but one: what cannot be decoded cannot be learned from. A drop always holds. The
checks themselves find the same with and without decisions: a copy of a dropped picture stays put aside as its copy.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from pipeline.curate.image_quality import Finding
from pipeline.curate.manual_decisions import standing
from pipeline.data.records import Decision, Image

REASON = "decision"
NAMED = 3


def overrule(findings: dict[int, Finding], images: Sequence[Image], decisions: Sequence[Decision]) -> dict[str, int]:
    """Change the findings as a person decided; name on stderr the decisions that hold for no image.

    Args:
        findings: Row of an image -> what the checks found; changed in place.
        images: Every image, in order.
        decisions: As read from data/decisions.jsonl.

    Returns:
        How many pictures were ``kept`` and ``dropped`` on a person's word, and how many decisions were ``unknown`` (no
        image has the id) and ``stale`` (the picture has been drawn anew).
    """
    found = standing(decisions, images)
    kept = dropped = 0
    for row, decision in found.rows.items():
        finding = findings.get(row)
        if decision.decision == "drop":
            findings[row] = _dropped(decision, finding)
            dropped += 1
        elif finding is None or finding.reason != "unreadable":
            findings.pop(row, None)
            kept += 1
    _name(found.unknown, "no image has the id")
    _name(found.stale, "the picture has been drawn anew since; look at it again: gossamer review")
    return {"kept": kept, "dropped": dropped, "unknown": len(found.unknown), "stale": len(found.stale)}


def _dropped(decision: Decision, finding: Finding | None) -> Finding:
    said = "nothing"
    if finding is not None:
        said = f"{finding.reason} {finding.score:.3f}" + (f", {finding.detail}" if finding.detail else "")
    date = decision.decided_at.date().isoformat()
    return Finding(REASON, 0.0, 1.0, f"dropped by a person on {date}; the checks said: {said}")


def _name(decisions: Sequence[Decision], why: str) -> None:
    if decisions:
        names = ", ".join(decision.image_id for decision in decisions[:NAMED])
        more = f" and {len(decisions) - NAMED} more" if len(decisions) > NAMED else ""
        Console(stderr=True, soft_wrap=True).print(escape(f"curate: not obeyed: {names}{more}: {why}"))

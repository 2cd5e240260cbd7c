"""Findings: the reason, score and threshold for which a check of curation rejects an image.

All checks score in [0, 1], lower is worse, and reject scores below a threshold. Reads and writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a check rejects an image.

    Attributes:
        reason: Name of the check, as recorded in data/rejected.jsonl.
        score: In [0, 1], below ``threshold``.
        threshold: In [0, 1].
        detail: Facts that help a person to understand the finding; may be empty.
    """

    reason: str
    score: float
    threshold: float
    detail: str = ""


def check_score(reason: str, score: float, threshold: float, detail: str = "") -> Finding | None:
    """Return a finding if the score is below the threshold, else None; a threshold of 0 never rejects."""
    return Finding(reason, float(score), threshold, detail) if score < threshold else None


def merge_findings(findings: Sequence[Finding]) -> Finding:
    """Merge the findings on one image, at least one: the first is the reason, its detail lists the others."""
    first, *others = findings
    also = [f"also {other.reason} {other.score:.3f}" for other in others]
    return replace(first, detail=", ".join(filter(None, [first.detail, *also])))

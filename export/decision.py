"""How an artifact's probabilities become a decision, as the metadata in its own file state it.

A file that is passed on without its contract.json would invite the most probable label. So each states its threshold
and retake band as numbers, for programs, and as a sentence at the end of its description, which Xcode, Netron and
Android Studio show. Pure: reads and writes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ModelError

THRESHOLD, RETAKE_BAND, LABELS, DESCRIPTION = "threshold", "retake_band", "labels", "description"
"""Keys of the metadata; values are texts, numbers in them have all digits."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Where an artifact decides.

    Attributes:
        threshold: Decide for the positive label, the last, where its probability is at least this high.
        retake_band: (low, high): probabilities strictly between them ask for another photograph; None: it never asks.
    """

    threshold: float
    retake_band: tuple[float, float] | None

    def sentence(self, labels: Sequence[str]) -> str:
        """State the decision for a person; with more than two labels it is the most probable one."""
        if len(labels) != 2:
            return "Decide the most probable label."
        other, positive = labels
        again = (
            "; strictly between {:.7g} and {:.7g}, ask for another picture instead".format(*self.retake_band)
            if self.retake_band
            else ""
        )
        return (
            f'Decide "{positive}" if its probability is at least {self.threshold:.7g}, else "{other}"{again}. '
            "Do not take the most probable label."
        )


def decision_metadata(metadata: Mapping[str, str], labels: Sequence[str], decision: Decision) -> dict[str, str]:
    """Add labels and decision to what a file says about itself; the description ends with the decision."""
    return {
        **metadata,
        DESCRIPTION: f"{metadata.get(DESCRIPTION, '')} {decision.sentence(labels)}".strip(),
        LABELS: json.dumps(list(labels)),
        THRESHOLD: repr(decision.threshold),
        RETAKE_BAND: json.dumps(decision.retake_band),
    }


def read_decision(metadata: Mapping[str, str], file: Path) -> Decision | None:
    """Read the decision that a file states; None if it states none.

    Args:
        metadata: What the file says about itself.
        file: The file, for the error.

    Raises:
        ModelError: It states something else than numbers.
    """
    if THRESHOLD not in metadata:
        return None
    stated = metadata[THRESHOLD], metadata.get(RETAKE_BAND, "null")
    try:
        band = json.loads(stated[1])
        return Decision(float(stated[0]), None if band is None else (float(band[0]), float(band[1])))
    except (ValueError, TypeError, IndexError, KeyError, RecursionError) as error:
        raise ModelError(
            f"{file}: its own metadata state {THRESHOLD} {stated[0][:40]!r} and {RETAKE_BAND} {stated[1][:60]!r}; "
            "expected numbers"
        ) from error

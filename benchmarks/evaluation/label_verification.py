"""Whether the labels of the training images were checked by a verifier: the part of metrics/curate.json that says so.

A verifier that agrees with about half of the labels does not know them, or the images do not show them. Curation then
rejects no label errors, and a test set with the same fault would not show it either.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ConfigDict, Field

from benchmarks.evaluation.estimates import Number
from pipeline.data.records import Record
from pipeline.data.storage import read_json

VERIFIER = "verifier"
CURATE_JSON = "curate.json"


class LabelPredictorFigures(Record):
    """One of the two predictors that check labels; its other keys are ignored.

    Attributes:
        agreement: Share of labels that equal its most probable label.
        chance: Share of the most frequent label.
        used: Whether it took part in the check.
        exclusion: Why it did not.
    """

    model_config = ConfigDict(extra="ignore")
    agreement: Number
    chance: Number = 0.5
    used: bool
    exclusion: str = ""

    @property
    def limit(self) -> float:
        """Lowest agreement of a predictor that knows the labels: halfway between chance and all."""
        return (1 + self.chance) / 2

    def weakness(self) -> str:
        """Why it cannot be relied on; empty if it can."""
        if self.exclusion or not self.used:
            return self.exclusion or "it was not used"
        return "" if self.agreement >= self.limit else f"it agrees with only {self.agreement:.1%} of the labels"


class LabelVerification(Record):
    """The part of metrics/curate.json about its label predictors; other keys are ignored."""

    model_config = ConfigDict(extra="ignore")
    label_predictors: dict[str, LabelPredictorFigures] = Field(default_factory=dict)

    @property
    def verifier(self) -> LabelPredictorFigures | None:
        """The predictor that was not trained on these images; None: curation has not run."""
        return self.label_predictors.get(VERIFIER)


def read_label_verification(path: Path) -> LabelVerification:
    """Read it from metrics/curate.json; empty where the file is missing.

    Raises:
        DataError: The file is damaged.
    """
    return read_json(path, LabelVerification) if path.exists() else LabelVerification()

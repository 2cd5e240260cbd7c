"""A check that the labels of the training images were verified: unmeasured where no verifier knows them."""

from __future__ import annotations

from benchmarks.evaluation.label_verification import LabelVerification
from benchmarks.gate.checks.check_results import ALL_ARTIFACTS, unmeasured
from pipeline.config.params import GateParams
from pipeline.data.records import Check

LABEL_VERIFIER = "label_verifier"
ADVICE = (
    "so nothing but the images themselves checked their labels; choose a verifier that knows them (curate.verifier), "
    "or look at the images (gossamer review) and set gate.require_label_verifier: false"
)


def label_checks(params: GateParams, labels: LabelVerification) -> list[Check]:
    """Pass where curation's verifier agrees with more labels than halfway between chance and all; else unmeasured.

    No check where ``params`` require no verifier.
    """
    verifier = labels.verifier
    if not params.require_label_verifier:
        return []
    if verifier is None:
        return [unmeasured(LABEL_VERIFIER, ALL_ARTIFACTS, "no verifier in metrics/curate.json; run dvc repro curate")]
    weakness = verifier.weakness()
    reason = f"the verifier of the labels: {weakness}, {ADVICE}" if weakness else ""
    return [
        Check(
            name=LABEL_VERIFIER,
            artifact=ALL_ARTIFACTS,
            value=verifier.agreement,
            limit=verifier.limit,
            verdict="unmeasured" if weakness else "pass",
            reason=reason or f"curation's verifier agrees with {verifier.agreement:.1%} of the labels",
        )
    ]

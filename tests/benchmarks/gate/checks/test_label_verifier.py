"""Training labels that no verifier knows are unmeasured at the gate, and never a pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.evaluation.label_verification import LabelVerification, read_label_verification
from benchmarks.gate.checks.label_verifier import LABEL_VERIFIER, label_checks
from benchmarks.gate.verdict import add_checks
from pipeline.config.params import GateParams, load_params
from pipeline.data.records import Check, Verdict

PASSED = Check(name="accuracy", artifact="a", value=1.0, limit=0.9, verdict="pass", reason="1 >= 0.9")


@pytest.fixture
def params(root: Path) -> GateParams:
    return load_params(root / "params.yaml").gate


def labels(agreement: float, exclusion: str = "", chance: float = 0.5) -> LabelVerification:
    verifier = {"agreement": agreement, "chance": chance, "used": not exclusion, "exclusion": exclusion}
    return LabelVerification.model_validate({"label_predictors": {"verifier": verifier}, "kept": 3})


def test_a_verifier_that_agrees_with_most_labels_passes(params: GateParams) -> None:
    (check,) = label_checks(params, labels(0.97))
    assert (check.name, check.verdict, check.value, check.limit) == (LABEL_VERIFIER, "pass", 0.97, 0.75)
    assert check.reason == "curation's verifier agrees with 97.0% of the labels"


@pytest.mark.parametrize(("agreement", "chance"), [(0.5, 0.5), (0.74, 0.5), (0.94, 0.9)])
def test_a_verifier_that_agrees_with_little_more_than_chance_is_unmeasured(
    params: GateParams, agreement: float, chance: float
) -> None:
    (check,) = label_checks(params, labels(agreement, chance=chance))
    assert check.verdict == "unmeasured"
    assert f"it agrees with only {agreement:.1%} of the labels" in check.reason
    assert "curate.verifier" in check.reason
    assert "gate.require_label_verifier: false" in check.reason


def test_a_verifier_that_curation_did_not_use_is_unmeasured_with_the_reason(params: GateParams) -> None:
    (check,) = label_checks(params, labels(1.0, "it agrees with 2 of 2 labels, not significantly more"))
    assert check.verdict == "unmeasured"
    assert "it agrees with 2 of 2 labels, not significantly more" in check.reason
    assert "only" not in check.reason


def test_without_figures_of_curation_the_labels_are_unmeasured(params: GateParams, tmp_path: Path) -> None:
    (check,) = label_checks(params, read_label_verification(tmp_path / "curate.json"))
    assert (check.verdict, check.reason) == (
        "unmeasured",
        "no verifier in metrics/curate.json; run dvc repro curate",
    )


def test_a_verifier_may_be_left_out_on_purpose(params: GateParams) -> None:
    assert label_checks(params.model_copy(update={"require_label_verifier": False}), labels(0.5)) == []


def test_unverified_labels_turn_a_pass_into_unmeasured(params: GateParams) -> None:
    verdict = Verdict(verdict="pass", baseline="none", checks=(PASSED,))
    assert add_checks(verdict, label_checks(params, labels(0.97))).verdict == "pass"
    assert add_checks(verdict, label_checks(params, labels(0.5))).verdict == "unmeasured"

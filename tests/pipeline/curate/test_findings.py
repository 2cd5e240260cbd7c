"""Findings: scores below a threshold, merged into one reason per image."""

from __future__ import annotations

from pipeline.curate.findings import Finding, check_score, merge_findings


def test_a_score_below_its_threshold_is_a_finding() -> None:
    assert check_score("dark", 0.05, 0.08, "why") == Finding("dark", 0.05, 0.08, "why")
    assert check_score("dark", 0.08, 0.08) is None


def test_a_threshold_of_zero_never_rejects() -> None:
    assert check_score("dark", 0.0, 0.0) is None


def test_the_first_finding_is_the_reason_and_its_detail_lists_the_others() -> None:
    dark, blurry = Finding("dark", 0.05, 0.08, "why"), Finding("blurry", 0.01, 0.08)
    assert merge_findings([dark]) == dark
    assert merge_findings([blurry]) == blurry
    assert merge_findings([dark, blurry]) == Finding("dark", 0.05, 0.08, "why, also blurry 0.010")
    assert merge_findings([blurry, dark]) == Finding("blurry", 0.01, 0.08, "also dark 0.050")

"""Manual overrides: a person's decisions replace the findings of the checks."""

from __future__ import annotations

import pytest

from pipeline.curate.findings import Finding
from pipeline.curate.manual_overrides import apply_overrides
from tests.pipeline.curate.test_manual_decisions import decision, image

IMAGES = [image("1"), image("2"), image("3"), image("4")]
DARK = Finding("dark", 0.1, 0.2, "also blurry 0.010")


def test_a_keep_removes_the_finding() -> None:
    findings = {0: DARK, 1: DARK}
    assert apply_overrides(findings, IMAGES, [decision("1")]) == {"kept": 1, "dropped": 0, "unknown": 0, "stale": 0}
    assert findings == {1: DARK}


def test_a_drop_replaces_the_finding_and_its_detail_quotes_it() -> None:
    findings = {0: DARK}
    apply_overrides(findings, IMAGES, [decision("1", "drop"), decision("2", "drop")])
    assert {finding.reason for finding in findings.values()} == {"decision"}
    assert findings[0].detail == ("dropped by a person on 2026-01-02; the checks said: dark 0.100, also blurry 0.010")
    assert findings[1].detail.endswith("the checks said: nothing")
    assert all(finding.score < finding.threshold for finding in findings.values())


def test_a_keep_does_not_override_an_unreadable_image() -> None:
    unreadable = Finding("unreadable", 0.0, 1.0, "truncated")
    findings = {0: unreadable}
    assert apply_overrides(findings, IMAGES, [decision("1")])["kept"] == 0
    assert findings == {0: unreadable}


def test_decisions_that_apply_to_no_image_are_counted_and_listed(capsys: pytest.CaptureFixture[str]) -> None:
    gone = [decision(f"gone-[{number}]") for number in range(5)]
    findings: dict[int, Finding] = {}
    counts = apply_overrides(findings, IMAGES, [*gone, decision("2", "drop", sha256="old")])
    assert counts == {"kept": 0, "dropped": 0, "unknown": 5, "stale": 1}
    assert findings == {}
    warnings = capsys.readouterr().err
    assert "decisions not applied: gone-[0], gone-[1], gone-[2] and 2 more: no image has the id" in warnings
    expected = "decisions not applied: 2: the image has been generated again since; review it again: gossamer review"
    assert expected in warnings

"""Overruling: a person's word against the checks of curation."""

from __future__ import annotations

import pytest

from pipeline.curate.image_quality import Finding
from pipeline.curate.manual_overrides import overrule
from tests.pipeline.curate.test_manual_decisions import decision, image

IMAGES = [image("1"), image("2"), image("3"), image("4")]
DARK = Finding("dark", 0.1, 0.2, "also blurry 0.010")


def test_a_keep_clears_what_the_checks_found() -> None:
    findings = {0: DARK, 1: DARK}
    assert overrule(findings, IMAGES, [decision("1")]) == {"kept": 1, "dropped": 0, "unknown": 0, "stale": 0}
    assert findings == {1: DARK}


def test_a_drop_holds_whatever_the_checks_found_and_tells_it() -> None:
    findings = {0: DARK}
    overrule(findings, IMAGES, [decision("1", "drop"), decision("2", "drop")])
    assert {finding.reason for finding in findings.values()} == {"decision"}
    assert findings[0].detail == ("dropped by a person on 2026-01-02; the checks said: dark 0.100, also blurry 0.010")
    assert findings[1].detail.endswith("the checks said: nothing")
    assert all(finding.score < finding.threshold for finding in findings.values())


def test_what_cannot_be_decoded_is_not_kept_on_anyones_word() -> None:
    torn = Finding("unreadable", 0.0, 1.0, "torn")
    findings = {0: torn}
    assert overrule(findings, IMAGES, [decision("1")])["kept"] == 0
    assert findings == {0: torn}


def test_decisions_that_hold_for_no_picture_are_counted_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    gone = [decision(f"gone-[{number}]") for number in range(5)]
    findings: dict[int, Finding] = {}
    told = overrule(findings, IMAGES, [*gone, decision("2", "drop", sha256="old")])
    assert told == {"kept": 0, "dropped": 0, "unknown": 5, "stale": 1}
    assert findings == {}
    said = capsys.readouterr().err
    assert "not obeyed: gone-[0], gone-[1], gone-[2] and 2 more: no image has the id" in said
    assert "not obeyed: 2: the picture has been drawn anew since; look at it again: gossamer review" in said

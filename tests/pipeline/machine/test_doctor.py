"""Checks of the machine for ``gossamer doctor``."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from pipeline.machine import doctor


def test_the_environment_of_the_tests_has_every_package_of_the_chain(tmp_path: Path) -> None:
    findings = {finding.name: finding for finding in doctor.examine(tmp_path, ["onnx"], {})}
    assert findings["torch"].value == importlib.metadata.version("torch")
    assert all(findings[name].good for name in ("python", *doctor.PACKAGES, "onnx"))


def test_a_missing_package_and_a_small_disk_come_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ENOUGH_DISK_GB", 10**9)
    findings = {finding.name: finding for finding in doctor.examine(tmp_path, ["no-such-package"], {})}
    assert (findings["no-such-package"].good, findings["no-such-package"].value) == (False, "missing")
    assert (findings["disk"].good, findings["disk"].advice) == (False, "expected 1000000000 GiB")


def test_the_latency_of_each_format_can_be_measured_or_has_a_reason(tmp_path: Path) -> None:
    unmeasured = {"coreml": "needs a Mac", "onnx": ""}
    findings = {finding.name: finding.value for finding in doctor.examine(tmp_path, (), unmeasured)}
    assert findings["latency of coreml"] == "unmeasured (needs a Mac); accuracy and parity are measured"
    assert findings["latency of onnx"] == "can be measured"


def test_packaged_weights_are_listed(tmp_path: Path) -> None:
    findings = {finding.name: finding for finding in doctor.examine(tmp_path, (), {}, {"tiny": "some-package 1.0"})}
    assert (findings["weights of tiny"].value, findings["weights of tiny"].good) == ("some-package 1.0", True)


def test_heic_photographs_need_an_optional_package_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    [finding] = [finding for finding in doctor.examine(tmp_path, (), {}) if finding.name == "HEIC photographs"]
    assert (finding.good, finding.value) == (True, "named, not read: pip install pillow-heif reads them")

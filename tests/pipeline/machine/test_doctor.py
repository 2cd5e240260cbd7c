from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from pipeline.machine import doctor


def test_a_sound_machine_has_all_that_the_chain_needs(tmp_path: Path) -> None:
    found = {finding.name: finding for finding in doctor.examine(tmp_path)}
    assert found["torch"].found == importlib.metadata.version("torch")
    assert all(found[name].good for name in ("python", *doctor.PACKAGES))


def test_a_missing_package_and_a_small_disk_are_told_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", ("no-such-package",))
    monkeypatch.setattr(doctor, "ENOUGH_DISK_GB", 10**9)
    found = {finding.name: finding for finding in doctor.examine(tmp_path)}
    assert (found["no-such-package"].good, found["no-such-package"].found) == (False, "missing")
    assert (found["disk"].good, found["disk"].advice) == (False, "expected 1000000000 GiB")

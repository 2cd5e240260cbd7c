"""What every test shares: one thread a process, no network, a small policy."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TQDM_DISABLE", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent


CONVERTED = (ROOT / "tests" / "export", ROOT / "tests" / "benchmarks" / "test_plain.py")
"""Tests that convert a small checkpoint once a process: minutes, so one process has them all."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tell pytest-xdist what stays together: the tests of a file, and all that convert (``--dist loadgroup``)."""
    for item in items:
        together = any(item.path.is_relative_to(place) for place in CONVERTED)
        item.add_marker(pytest.mark.xdist_group("convert" if together else item.path.relative_to(ROOT).as_posix()))


@pytest.fixture(scope="session")
def root() -> Path:
    """Root of the checkout."""
    return ROOT


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    """A copy of the helmet policy that a test may spoil."""
    path = tmp_path / "policies" / "helmet.yaml"
    path.parent.mkdir()
    path.write_text((ROOT / "policies" / "helmet.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    return path


@pytest.fixture
def policy_values(policy_file: Path) -> dict[str, object]:
    """The helmet policy as plain values, to change and write back."""
    values: dict[str, object] = yaml.safe_load(policy_file.read_text(encoding="utf-8"))
    return values

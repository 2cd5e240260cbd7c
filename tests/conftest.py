"""Settings and fixtures of all tests: one thread per process, no network, a copy of the helmet policy."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TQDM_DISABLE", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent


CONVERTING = (
    ROOT / "tests" / "export",
    ROOT / "tests" / "benchmarks" / "experiment_harness" / "test_toolkit_defaults.py",
)
"""Tests that convert a small checkpoint, once per process. This takes minutes, so one process runs all of them."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group tests for pytest-xdist (``--dist loadgroup``): by file, and all tests that convert in one group."""
    for item in items:
        together = any(item.path.is_relative_to(place) for place in CONVERTING)
        item.add_marker(pytest.mark.xdist_group("convert" if together else item.path.relative_to(ROOT).as_posix()))


@pytest.fixture(scope="session")
def root() -> Path:
    """Root of the checkout."""
    return ROOT


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    """A copy of the helmet policy, which a test may change."""
    path = tmp_path / "policies" / "helmet.yaml"
    path.parent.mkdir()
    path.write_text((ROOT / "policies" / "helmet.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    return path


@pytest.fixture
def policy_values(policy_file: Path) -> dict[str, object]:
    """The values of the helmet policy, to change and write back."""
    values: dict[str, object] = yaml.safe_load(policy_file.read_text(encoding="utf-8"))
    return values

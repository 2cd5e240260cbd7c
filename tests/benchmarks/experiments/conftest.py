"""The checkout's params, also as a checkout of small size."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pipeline.config.params import Params, load_params


@pytest.fixture(scope="session")
def base(root: Path) -> Params:
    """The checkout's params.yaml."""
    return load_params(root / "params.yaml")


@pytest.fixture
def small_checkout(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with policies and a params.yaml that trains for one epoch and makes 40 selfies."""
    values = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    values["train"] |= {"epochs": 1, "threads": 1}
    values["curate"] |= {"workers": 1}
    values["generate"] |= {"workers": 1}
    values["selfies"]["count"] = 40
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    (tmp_path / "policies").symlink_to(root / "policies")
    monkeypatch.chdir(tmp_path)
    return tmp_path

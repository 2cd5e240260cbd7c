"""Hashes and sizes of files and folders, and shares derived from hashes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from pipeline.data.hashing import files_of, hash_share, sha256_of, size_of


def test_a_file_is_hashed_by_its_bytes(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"abc")
    assert (sha256_of(file), size_of(file)) == (hashlib.sha256(b"abc").hexdigest(), 3)


def test_a_folder_is_hashed_by_names_and_contents_of_its_files(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder / "inner").mkdir(parents=True)
    for name in ("x", "inner/y"):
        (tmp_path / "a" / name).write_bytes(name.encode())
    for name in ("inner/y", "x"):
        (tmp_path / "b" / name).write_bytes(name.encode())
    assert sha256_of(tmp_path / "a") == sha256_of(tmp_path / "b")
    assert size_of(tmp_path / "a") == 8
    assert [file.name for file in files_of(tmp_path / "a")] == ["y", "x"]
    (tmp_path / "b" / "x").rename(tmp_path / "b" / "z")
    assert sha256_of(tmp_path / "a") != sha256_of(tmp_path / "b")


def test_hash_shares_are_reproducible_and_uniform() -> None:
    shares = np.array([hash_share(1, f"scene-{number}") for number in range(2000)])
    assert shares[0] == pytest.approx(hash_share(1, "scene-0"))
    assert hash_share(1, "scene-0") != hash_share(2, "scene-0")
    assert shares.min() >= 0
    assert shares.max() < 1
    assert np.histogram(shares, 4, (0, 1))[0] == pytest.approx([500] * 4, abs=80)

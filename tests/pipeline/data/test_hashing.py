from __future__ import annotations

import hashlib
from pathlib import Path

from pipeline.data.hashing import files_of, sha256_of, size_of


def test_a_file_s_fingerprint_is_its_own(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"abc")
    assert (sha256_of(file), size_of(file)) == (hashlib.sha256(b"abc").hexdigest(), 3)


def test_a_folder_s_fingerprint_depends_on_names_and_contents_alone(tmp_path: Path) -> None:
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

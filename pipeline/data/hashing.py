"""The identity of an artifact on disk: a file, or a folder such as an .mlpackage."""

from __future__ import annotations

import hashlib
from pathlib import Path


def files_of(path: Path) -> list[Path]:
    """List the files of an artifact, in the order of their names; a plain file is its own only one."""
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def size_of(path: Path) -> int:
    """Add up the files' lengths, in bytes."""
    return sum(file.stat().st_size for file in files_of(path))


def sha256_of(path: Path) -> str:
    """Hash a file, or a folder as the list of its relative names and their hashes."""
    if not path.is_dir():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    lines = [
        f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.relative_to(path).as_posix()}\n" for f in files_of(path)
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()

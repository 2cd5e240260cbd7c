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


def hash_share(seed: int, name: str) -> float:
    """Stable hash of a name and a seed in [0, 1): the same on every machine, whatever stands beside it."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8], "big") / 2**64


def hash_folder(folder: Path) -> str:
    """Hash names and contents of all files below a folder, hidden ones apart."""
    digest = hashlib.sha256()
    for path in _files(folder):
        with path.open("rb") as file:
            digest.update(f"{path.relative_to(folder).as_posix()}\n".encode())
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"sha256:{digest.hexdigest()[:16]}"


def folder_bytes(folder: Path) -> int:
    """Sum of the sizes of all files below a folder, hidden ones apart."""
    return sum(path.stat().st_size for path in _files(folder))


def _files(folder: Path) -> list[Path]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts)]

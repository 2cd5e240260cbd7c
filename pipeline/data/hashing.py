"""SHA-256 of files, folders and records, the sizes of files, and a reproducible share in [0, 1) for a name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_SYSTEM_NAMES = frozenset({".ds_store", ".localized", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})
_SYSTEM_PREFIX = "._"


def is_system_file(name: str) -> bool:
    """Whether a file is one that Finder or Explorer leaves in a folder that somebody looks at, e.g. ``.DS_Store``."""
    return name.lower() in _SYSTEM_NAMES or name.startswith(_SYSTEM_PREFIX)


DOCUMENTATION = frozenset({".csv", ".md", ".svg"})
"""Endings of the files of a model folder that no model is loaded from."""


def files_of(path: Path) -> list[Path]:
    """List the files of an artifact, sorted by path; a plain file is its own only one (an .mlpackage is a folder).

    Files of Finder and Explorer are left out, so that looking at a package does not change its hash.
    """
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file() and not is_system_file(file.name))


def size_of(path: Path) -> int:
    """Add up the sizes of an artifact's files, in bytes."""
    return sum(file.stat().st_size for file in files_of(path))


def sha256_of(path: Path) -> str:
    """Hash a file, or a folder as the list of its files' relative names and hashes; 64 hexadecimal digits."""
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    lines = [f"{sha256_of(file)}  {file.relative_to(path).as_posix()}\n" for file in files_of(path)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def content_hash(value: BaseModel | DataclassInstance) -> str:
    """Hash the values of a record, whatever the layout of the file it was read from; 64 hexadecimal digits."""
    text = value.model_dump_json() if isinstance(value, BaseModel) else json.dumps(asdict(value))
    return hashlib.sha256(text.encode()).hexdigest()


def dataset_id(rows: Iterable[tuple[str, str, str]]) -> str:
    """Hash (id, SHA-256 of the encoded image, label) of every image of a data set, whatever their order."""
    return hashlib.sha256(json.dumps(sorted(rows)).encode()).hexdigest()


def hash_share(seed: int, name: str) -> float:
    """Hash a name and a seed to a float in [0, 1): uniform over names, and the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8], "big") / 2**64


def hash_folder(folder: Path) -> str:
    """Hash names and contents of the files of a model folder: "sha256:" and 16 digits.

    Hidden files and documentation (``DOCUMENTATION``: the model card, training curves) are left out: a corrected card
    is not another model.
    """
    digest = hashlib.sha256()
    for path in _visible_files(folder):
        if path.suffix in DOCUMENTATION:
            continue
        with path.open("rb") as file:
            digest.update(f"{path.relative_to(folder).as_posix()}\n".encode())
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"sha256:{digest.hexdigest()[:16]}"


def folder_bytes(folder: Path) -> int:
    """Add up the sizes of all files below a folder, hidden ones excepted, in bytes."""
    return sum(path.stat().st_size for path in _visible_files(folder))


def _visible_files(folder: Path) -> list[Path]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts)]

"""A work area on disk that a stopped run resumes from: entries that appear whole or not at all, under a content key.

    ROOT/KEY/NAME        one entry, a file or a folder
    ROOT/KEY/.sums/NAME  SHA-256 of what was written as this entry
    ROOT/KEY/.NAME.PID.RANDOM  an entry that is being written (``pipeline.data.scratch``)

KEY is a SHA-256 over all that the entries depend on: the inputs a stage declares, versions of packages, and the code of
the modules that compute them (``pipeline.data.source_closure``). So an entry that is there was made for these inputs.
Whether it is still what was written is checked before it is used: a disk, a copy or a user may have changed it. A new
key removes what other keys left behind; what a killed process was writing is removed when the area is opened again.

Work areas lie beside a stage's outputs and are named ``*.work``: DVC deletes outputs before it runs a stage, and
ignores these. ``pipeline.data.finished_work`` removes the area of a finished stage.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape

from pipeline.data.hashing import sha256_of
from pipeline.data.scratch import remove_stale_scratch, scratch_file
from pipeline.data.source_closure import hash_code, import_closure
from pipeline.data.storage import atomic_folder, atomic_write

KEY_LENGTH = 32
_KEY = re.compile(rf"[0-9a-f]{{{KEY_LENGTH}}}")
SUMS = ".sums"


@dataclass(frozen=True, slots=True)
class WorkCache:
    """An open work area of one key; picklable, so that worker processes write entries as well.

    Attributes:
        folder: ROOT/KEY. Entries are direct children; a name must not begin with a dot.
    """

    folder: Path

    def path(self, name: str) -> Path:
        """Path of an entry, which may not exist yet; where it exists, it is whole."""
        return self.folder / name

    def has(self, name: str) -> bool:
        """Whether there is an entry of this name with the contents that were written; another one is removed."""
        if not self.path(name).exists():
            return False
        if sha256_of(self.path(name)) in self._sums(name):
            return True
        self.reject(name, "not as it was written")
        return False

    def names(self) -> list[str]:
        """Names of all entries that are as they were written, sorted."""
        found = sorted(path.name for path in self.folder.iterdir() if not path.name.startswith("."))
        return [name for name in found if self.has(name)]

    @contextmanager
    def write(self, name: str) -> Iterator[IO[bytes]]:
        """Open a file entry for writing; it appears when the block ends, in place of an earlier one of this name."""
        with scratch_file(self.path(name)) as (scratch, file):
            yield file
            file.flush()
            os.fsync(file.fileno())  # or a power cut leaves a name without its contents
            self._record(name, scratch)
            scratch.replace(self.path(name))

    @contextmanager
    def write_folder(self, name: str) -> Iterator[Path]:
        """Give an empty folder to fill; it becomes an entry when the block ends, in place of an earlier one."""
        with atomic_folder(self.path(name), own=("*",)) as folder:
            yield folder
            self._record(name, folder)

    def keep_only(self, names: Collection[str]) -> None:
        """Remove every entry that is not among ``names``."""
        for path in self.folder.iterdir():
            if path.name not in names and not path.name.startswith("."):
                self.remove(path.name)

    def remove(self, name: str) -> None:
        """Remove one entry, if it is there."""
        _remove(self.path(name))
        _remove(self.folder / SUMS / name)

    def reject(self, name: str, reason: str) -> None:
        """Remove an entry that cannot be used, and report on stderr that it is made again."""
        self.remove(name)
        _report(f"{self.path(name)}: {reason}; it is made again")

    def _record(self, name: str, content: Path) -> None:
        """Write down the hash of a new entry, and of the one in place, which stays if the process is killed now."""
        digests = [sha256_of(content)]
        if self.path(name).exists():
            digests += self._sums(name) & {sha256_of(self.path(name))}
        with atomic_write(self.folder / SUMS / name) as file:
            file.write("".join(f"{digest}\n" for digest in digests).encode())

    def _sums(self, name: str) -> set[str]:
        try:
            return set((self.folder / SUMS / name).read_text(encoding="ascii").split())
        except (OSError, UnicodeDecodeError):
            return set()


def open_work(root: Path, key: str) -> WorkCache:
    """Open the area of a key for writing.

    Removes what was left under other keys, and says so on stderr; removes what killed processes were writing. Anything
    else in the folder stays.

    Args:
        root: The work area, e.g. data/images.work.
        key: From ``work_key``.
    """
    cache = WorkCache(root / key)
    cache.folder.mkdir(parents=True, exist_ok=True)
    if _remove_keys(root, except_for=cache.folder):
        _report(f"{root}: removed the work of an earlier run, which had other inputs or other code")
    remove_stale_scratch(cache.folder)
    return cache


def remove_area(root: Path) -> None:
    """Remove a work area; what somebody else put there stays."""
    _remove_keys(root)
    remove_stale_scratch(root)
    with suppress(OSError):  # not empty
        root.rmdir()


def link(source: Path, target: Path) -> None:
    """Give a file, or every file of a folder, a second name as a hard link; copy it where that is not possible."""
    if source.is_dir():
        target.mkdir()
        for path in source.iterdir():
            link(path, target / path.name)
        return
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)


def work_key(inputs: Mapping[str, object], modules: Iterable[str], packages: Sequence[str] = ()) -> str:
    """Hash all that the entries of a work area depend on.

    Args:
        inputs: By name. Pydantic models, dataclasses, JSON values, arrays (shape, dtype and contents), paths (contents
            of the file or folder, or that there is none), and mappings and iterables of them.
        modules: Modules that compute the entries, and plug-ins they find by name; their imports are followed.
        packages: Installed packages whose version matters.

    Returns:
        Hexadecimal digits; the same on every machine with the same Python.

    Raises:
        TypeError: An input is of another kind.
    """
    digest = hashlib.sha256()
    for part in _encode({"inputs": inputs, "packages": {name: _version(name) for name in packages}}):
        digest.update(part)
    digest.update(hash_code(import_closure(modules).values()).encode())
    return digest.hexdigest()[:KEY_LENGTH]


def _encode(value: object) -> Iterator[bytes]:
    """Write a value out so that different values differ: JSON, brackets around what has parts."""
    match value:
        case BaseModel():
            yield value.model_dump_json().encode()
        case Path():
            yield json.dumps(sha256_of(value) if value.exists() else None).encode()
        case np.ndarray():
            yield json.dumps([str(value.dtype), value.shape]).encode()
            yield hashlib.sha256(np.ascontiguousarray(value).data).digest()
        case Mapping():
            yield from _bracket(b"{", (part for name in sorted(value) for part in (name, value[name])), b"}")
        case str() | int() | float() | None:
            yield json.dumps(value).encode()
        case set() | frozenset():
            yield from _bracket(b"(", sorted(value), b")")
        case Iterable():
            yield from _bracket(b"[", value, b"]")
        case _ if is_dataclass(value) and not isinstance(value, type):
            yield from _encode(asdict(value))
        case _:
            raise TypeError(f"work_key: {type(value).__name__}; expected a model, a path, an array or JSON values")


def _bracket(opening: bytes, parts: Iterable[Any], closing: bytes) -> Iterator[bytes]:
    yield opening
    for part in parts:
        yield from _encode(part)
        yield b","
    yield closing


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _report(line: str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False).print(escape(line))


def _remove_keys(root: Path, except_for: Path | None = None) -> int:
    """Remove the folders of keys in a work area; returns how many there were."""
    folders = [path for path in root.iterdir() if path != except_for and path.is_dir() and not path.is_symlink()]
    keys = [path for path in folders if _KEY.fullmatch(path.name) or (path / SUMS).is_dir()]
    for path in keys:
        shutil.rmtree(path)
    return len(keys)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

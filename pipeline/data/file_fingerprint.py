"""Fingerprints of files and folders outside of DVC's dependencies: SHA-256 of contents, computed once per change.

    FOLDER/STAGE.json         ``Fingerprints``: what a stage reads; a dependency of the stage in dvc.yaml
    FOLDER.work/hashes.json   hash of every file beside size, times and inode; git and DVC ignore it

A file is read again where its size, its inode, or the time of its last change of contents or attributes differs. So a
copy that keeps the old time (``cp -p``, rsync) is seen as well. Hidden files and those that Finder and Explorer leave
are no part of a fingerprint: no picture and no weight is read from them.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from pipeline.data.hashing import is_system_file, sha256_of
from pipeline.data.records import Record
from pipeline.data.storage import atomic_write, read_json, write_json
from pipeline.errors import DataError

HASHES = "hashes.json"
SETTLED_NS = 2_000_000_000
"""A file that changed less than this many ns ago is hashed again next time, as one tick may have two changes."""
UNREADABLE = "unreadable"
State: TypeAlias = tuple[int, int, int, int, int]
"""Device, inode, size, and times of the last change of contents and of attributes in ns."""


@dataclass(frozen=True, slots=True)
class NamedPath:
    """A value of params.yaml that names a file or folder, or may name one.

    Attributes:
        key: Its key, e.g. "dataset.folder".
        path: The value; relative to the root of the checkout, or absolute.
        is_photographs: Whether it is a folder of photographs, in which links to folders are not followed.
    """

    key: str
    path: Path
    is_photographs: bool = False


class Fingerprint(Record):
    """Contents of one file or folder that a value of params.yaml names.

    Attributes:
        key: Key of params.yaml.
        path: The value.
        files: Number of files.
        size_bytes: Their sizes, added up.
        sha256: Hash of their relative names and contents.
    """

    key: str
    path: str
    files: int
    size_bytes: int
    sha256: str


class Fingerprints(Record):
    """All that one stage reads beside its dependencies in dvc.yaml."""

    read: tuple[Fingerprint, ...]


@dataclass(slots=True)
class HashCache:
    """Hashes of files by path and state, as they were found by the last run and by this one.

    Attributes:
        path: File that keeps them.
        known: Path -> (state, hash) of the last run; a path is stored as Latin-1, which any name can be.
        found: The same of this run.
    """

    path: Path
    known: dict[str, tuple[State, str]]
    found: dict[str, tuple[State, str]] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path) -> HashCache:
        """Read the hashes of the last run; without them, or where they are damaged, all files are hashed again."""
        try:
            rows = json.loads(path.read_bytes())
            known = {str(name): (_state(row[0]), str(row[1])) for name, row in rows.items()}
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            known = {}
        return cls(path, known)

    def hash(self, path: Path, facts: os.stat_result) -> str:
        """Hash a file, or look its hash up; "unreadable" if this user may not read it."""
        name, state = os.fsencode(os.path.abspath(path)).decode("latin-1"), _state_of(facts)  # noqa: PTH100 - no link is resolved
        if name in self.known and self.known[name][0] == state:
            self.found[name] = self.known[name]
            return self.known[name][1]
        started = time.time_ns()
        try:
            digest = sha256_of(path)
        except OSError:
            return UNREADABLE
        if max(facts.st_mtime_ns, facts.st_ctime_ns) < started - SETTLED_NS:
            self.found[name] = (state, digest)
        return digest

    def save(self) -> None:
        """Write the hashes of this run, if they differ from the last one's."""
        if self.found != self.known:
            with atomic_write(self.path) as file:
                file.write(json.dumps(self.found).encode())


def update_fingerprints(path: Path, named: Iterable[NamedPath], cache: HashCache) -> list[NamedPath]:
    """Write the fingerprints of what a stage reads; a file that has them already is not touched.

    What is missing here keeps its fingerprint, if it has one: on a machine without the photographs or weights, such as
    one that only runs the gate, nothing says that they changed.

    Args:
        path: FOLDER/STAGE.json.
        named: Files and folders that the stage may read.
        cache: Hashes of the files that have not changed.

    Returns:
        What is missing and kept its fingerprint.
    """
    earlier, current = _read(path), {entry: fingerprint(entry, cache) for entry in named}
    recorded = {(row.key, row.path): row for row in earlier.read} if earlier else {}
    kept = {entry: recorded.get((entry.key, str(entry.path))) for entry, row in current.items() if row is None}
    found = Fingerprints(read=tuple(row for row in ({**current, **kept}).values() if row))
    if found != earlier:
        write_json(path, found)
    return [entry for entry, row in kept.items() if row]


def fingerprint(named: NamedPath, cache: HashCache) -> Fingerprint | None:
    """Fingerprint a file or folder; None: there is nothing at its path."""
    if not os.path.exists(named.path):  # noqa: PTH110 - Path.exists raises if the name is too long, or if it may not look
        return None
    digest, files, size = hashlib.sha256(), 0, 0
    for name, file in sorted(_files(named.path, follow_folders=not named.is_photographs)):
        content, size_bytes = _content(file, cache)
        digest.update(len(name).to_bytes(8, "big") + name + os.fsencode(content) + b"\n")
        files, size = files + 1, size + size_bytes
    return Fingerprint(key=named.key, path=str(named.path), files=files, size_bytes=size, sha256=digest.hexdigest())


def _read(path: Path) -> Fingerprints | None:
    """Fingerprints of the last run; None if the file is missing or damaged."""
    try:
        return read_json(path, Fingerprints)
    except DataError:
        return None


def _files(path: Path, *, follow_folders: bool) -> Iterator[tuple[bytes, Path]]:
    """Relative name and path of every file that counts, of links to folders that are not followed, and of specials."""
    if not path.is_dir():
        yield b"", path
        return
    seen: set[str] = set()
    for folder, folders, files in os.walk(path, followlinks=follow_folders):
        real = os.path.realpath(folder)
        visible = [name for name in folders if not _is_left_out(name)]
        links = [name for name in visible if Path(folder, name).is_symlink() and not follow_folders]
        folders[:] = [] if real in seen else visible  # a link may lead in a circle
        seen.add(real)
        for name in (*links, *(name for name in files if not _is_left_out(name))):
            file = Path(folder, name)
            yield os.fsencode(file.relative_to(path)), file


def _is_left_out(name: str) -> bool:
    return name.startswith(".") or is_system_file(name)


def _content(file: Path, cache: HashCache) -> tuple[str, int]:
    """Hash and size of a file; of anything else, what it is."""
    try:
        facts = file.stat()
    except OSError:
        return (f"link to {file.readlink()}" if file.is_symlink() else UNREADABLE), 0
    if stat.S_ISREG(facts.st_mode):
        return cache.hash(file, facts), facts.st_size
    return (f"link to {file.readlink()}" if file.is_symlink() else "special"), 0


def _state_of(facts: os.stat_result) -> State:
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def _state(row: list[int]) -> State:
    device, inode, size, modified, changed = map(int, row)
    return device, inode, size, modified, changed

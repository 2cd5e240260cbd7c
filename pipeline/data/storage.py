"""Reading and writing of records: JSON lines, JSON and CSV; files and folders appear whole or not at all.

A file is written under a temporary name (``pipeline.data.scratch``) and renamed when it is whole. Without rows, it has
one empty line, which readers skip: DVC warns of a file of zero bytes in every run. A folder is replaced as a whole, so
only one that holds nothing but files that Gossamer writes there is: whoever names ``~/Pictures`` as an output by
mistake, or adds notes to a bundle, keeps them.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any, TypeVar

from pydantic import ValidationError

from pipeline.data.hashing import is_system_file
from pipeline.data.records import Record
from pipeline.data.scratch import move_file, move_folder, scratch_file, scratch_folder
from pipeline.errors import DataError, UsageError

R = TypeVar("R", bound=Record)
NO_ROWS = b"\n"


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file for writing; rename it to ``path`` on success, remove it on an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with scratch_file(path) as (scratch, file):
        yield file
        file.close()
        move_file(scratch, path)


@contextmanager
def atomic_folder(out: Path, place: Path | None = None, *, own: Sequence[str] = ()) -> Iterator[Path]:
    """Make a temporary folder to fill; it replaces ``out`` on success and is removed on an error.

    Args:
        out: The final path.
        place: Where the temporary folder lies; None: see ``pipeline.data.scratch``.
        own: As for ``check_replaceable``.

    Raises:
        UsageError: ``out`` is not Gossamer's to replace.
    """
    check_replaceable(out, own)
    out.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(out, place) as scratch:
        folder = scratch / out.name
        folder.mkdir()
        yield folder
        check_replaceable(out, own)
        if out.exists():
            shutil.rmtree(out)
        move_folder(folder, out)


def check_replaceable(out: Path, own: Sequence[str]) -> None:
    """Refuse to replace a folder that holds anything but files of Gossamer, empty folders, and files of Finder.

    Args:
        out: The folder; where there is none, anything may be written.
        own: Patterns (``fnmatch``; ``*`` includes slashes) of the files that Gossamer writes there, relative to
            ``out``. A file of the first pattern marks the folder as Gossamer's.

    Raises:
        UsageError: It is a link or a file, lacks the mark, or has another file.
    """
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UsageError(f"{out}: {'a link' if out.is_symlink() else 'a file'}; expected a folder, or nothing there")
    entries = sorted(out.rglob("*")) if out.is_dir() else []
    files = [path for path in entries if path.is_symlink() or not path.is_dir()]
    names = [path.relative_to(out).as_posix() for path in files if not is_system_file(path.name)]
    if not names:
        return
    marked = any(fnmatchcase(name, own[0]) for name in names) if own else False
    foreign = [name for name in names if not any(fnmatchcase(name, pattern) for pattern in own)]
    if foreign or not marked:
        found = f"holds {foreign[0]!r}" if foreign else f"has no {own[0]}"
        raise UsageError(
            f"{out}: not a folder that Gossamer wrote: it {found}; it would be replaced as a whole; "
            "move it away, or choose another name"
        )


def write_rows(path: Path, rows: Iterable[Record]) -> int:
    """Write records as JSON lines, in order; returns their number."""
    count = 0
    with atomic_write(path) as file:
        for row in rows:
            file.write(row.model_dump_json().encode() + b"\n")
            count += 1
        if not count:
            file.write(NO_ROWS)
    return count


def read_rows(path: Path, kind: type[R]) -> list[R]:
    """Read JSON lines as records of one kind; empty lines are skipped.

    Raises:
        DataError: The file is missing, or a line is not such a record (the message has its number).
    """
    if not path.is_file():
        raise DataError(f"{path}: missing; expected {kind.__name__} rows; run the stage that writes it: dvc repro")
    rows: list[R] = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                rows.append(kind.model_validate_json(line))
            except ValidationError as error:
                raise DataError(f"{path}:{number}: not a {kind.__name__} row: {_first_problem(error)}") from error
    return rows


def write_json(path: Path, value: Record | dict[str, Any]) -> None:
    """Write one record or dictionary as indented JSON; infinities and NaN are errors."""
    with atomic_write(path) as file:
        file.write(encode_json(value))


def encode_json(value: Record | dict[str, Any]) -> bytes:
    """Encode one record or dictionary as ``write_json`` writes it."""
    plain = value.model_dump(mode="json") if isinstance(value, Record) else value
    return json.dumps(plain, indent=2, allow_nan=False).encode() + b"\n"


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows with equal columns as CSV with a header; without rows the file has one empty line."""
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    with atomic_write(path) as file:
        file.write(text.getvalue().encode() or NO_ROWS)


def read_json(path: Path, kind: type[R]) -> R:
    """Read one record.

    Raises:
        DataError: The file is missing or is not such a record.
    """
    if not path.is_file():
        raise DataError(f"{path}: missing; expected a {kind.__name__}; run the stage that writes it: dvc repro")
    try:
        return kind.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise DataError(f"{path}: not a {kind.__name__}: {_first_problem(error)}") from error


def read_metrics(path: Path) -> dict[str, Any]:
    """Read a metrics file: one JSON object.

    Raises:
        DataError: The file is missing or is not a JSON object.
    """
    if not path.is_file():
        raise DataError(f"{path}: missing; expected a metrics file; run the stage that writes it: dvc repro")
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise DataError(f"{path}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise DataError(f"{path}: found {type(value).__name__}; expected a JSON object")
    return value


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    return f"{'.'.join(map(str, problem['loc'])) or 'line'}: {problem['msg']}"

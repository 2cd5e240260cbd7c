"""A CSV file with the factors of photographs: one row per file, one column per factor.

    file,skin_tone,light
    helmet/IMG_0001.jpg,monk_7,night

``file`` is a path within the folder of photographs, or a file name that occurs once in it. An empty cell says nothing
about a photograph, and a photograph without a row has no factors. A column ``label`` is no factor; where there is one,
it must agree with the photograph's folder. Reads the file, and which files the folder has.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import DataError, listed, shown

FILE, LABEL = "file", "label"
MAX_BYTES = 50_000_000
MAX_VALUES = 50
"""Most values of one factor; a column with more, such as a size in pixels, makes no slices."""
LONGEST_VALUE = 100
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_REMEDY = "mend the file, or leave selfies.photographs.N.factors out"


@dataclass(frozen=True, slots=True)
class FactorTable:
    """The rows of a CSV file.

    Attributes:
        path: The file.
        rows: Path within the folder of photographs -> factor -> value.
    """

    path: Path
    rows: Mapping[str, Mapping[str, str]]

    def of_file(self, name: str) -> dict[str, str]:
        """Factors of one photograph, by its path within the folder; empty where the table has no row for it."""
        return dict(self.rows.get(_normal(name), {}))


def read_factor_table(path: Path, folder: Path, labels: Sequence[str]) -> FactorTable:
    """Read the factors of a folder of photographs.

    Args:
        path: The CSV file, UTF-8.
        folder: The photographs, FOLDER/LABEL/FILE.
        labels: The policy's labels.

    Raises:
        DataError: The file is missing, no such table, or about other photographs; names the line.
    """
    header, lines = _read(path)
    factors = [name for name in header if name not in {FILE, LABEL}]
    _check_header(path, header, factors)
    files = _Files.of(folder, labels)
    rows: dict[str, dict[str, str]] = {}
    absent: list[str] = []
    for number, line in lines:
        name = files.find(path, number, line[FILE])
        if name is None:
            absent.append(line[FILE])
            continue
        if name in rows:
            raise DataError(f"{path}:{number}: a second row for {shown(line[FILE])}; expected one; {_REMEDY}")
        if line.get(LABEL) and line[LABEL] != name.partition("/")[0]:
            raise DataError(
                f"{path}:{number}: label {shown(line[LABEL])} of {name}; expected the name of its folder; {_REMEDY}"
            )
        rows[name] = {factor: _checked(path, number, line[factor]) for factor in factors if line[factor]}
    if absent:
        raise DataError(
            f"{path}: {len(absent)} of {len(absent) + len(rows)} rows are of files that {folder} has not: "
            f"{listed(absent[:5])}; expected paths within that folder, e.g. {labels[0]}/IMG_0001.jpg; {_REMEDY}"
        )
    _check_values(path, factors, rows)
    return FactorTable(path, rows)


@dataclass(frozen=True, slots=True)
class _Files:
    """Files of a folder of photographs: their paths within it, and by file name."""

    paths: frozenset[str]
    by_name: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, folder: Path, labels: Sequence[str]) -> _Files:
        by_name: dict[str, list[str]] = defaultdict(list)
        for label in labels:
            for entry in sorted((folder / label).iterdir()):
                by_name[_normal(entry.name)].append(_normal(f"{label}/{entry.name}"))
        return cls(frozenset(path for paths in by_name.values() for path in paths), by_name)

    def find(self, path: Path, number: int, name: str) -> str | None:
        """Path within the folder of the file that a row names; None where there is none."""
        wanted = _normal(name.replace("\\", "/").removeprefix("./"))
        if wanted in self.paths:
            return wanted
        found = self.by_name.get(wanted, ())
        if len(found) > 1:
            raise DataError(f"{path}:{number}: {shown(name)} is {' and '.join(found)}; expected LABEL/FILE; {_REMEDY}")
        return found[0] if found else None


def _read(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Header, and (line, column -> cell) of each row that is not empty."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected a CSV file with a column {FILE}; {_REMEDY}")
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path}: over {MAX_BYTES // 10**6} MB; expected one line per photograph; {_REMEDY}")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            rows = []
            for cells in reader:
                if len(cells) not in {0, len(header)}:
                    raise DataError(
                        f"{path}:{reader.line_num}: {len(cells)} cells; expected {len(header)}, as in the first line; "
                        f"{_REMEDY}"
                    )
                if any(cell.strip() for cell in cells):
                    stripped = (cell.strip() for cell in cells)
                    rows.append((reader.line_num, dict(zip(header, stripped, strict=True))))
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise DataError(f"{path}: cannot be read as CSV ({error}); expected UTF-8 with commas; {_REMEDY}") from error
    return header, rows


def _check_header(path: Path, header: Sequence[str], factors: Sequence[str]) -> None:
    twice = [name for name, count in Counter(header).items() if count > 1]
    wrong = [name for name in factors if not _NAME.fullmatch(name)]
    if FILE not in header:
        semicolons = "; its columns seem to be separated by semicolons" if ";" in "".join(header) else ""
        raise DataError(f"{path}:1: columns {shown(', '.join(header))}; expected one named {FILE}{semicolons}")
    if twice:
        raise DataError(f"{path}:1: column {shown(twice[0])} twice; expected it once; {_REMEDY}")
    if not factors:
        raise DataError(f"{path}:1: no column besides {', '.join(header)}; expected one per factor; {_REMEDY}")
    if wrong:
        raise DataError(f"{path}:1: column {shown(wrong[0])}; expected small letters, digits and _; {_REMEDY}")


def _checked(path: Path, number: int, value: str) -> str:
    if len(value) > LONGEST_VALUE or not value.isprintable():
        raise DataError(
            f"{path}:{number}: {shown(value)}; expected a word of at most {LONGEST_VALUE} characters; {_REMEDY}"
        )
    return value


def _check_values(path: Path, factors: Sequence[str], rows: Mapping[str, Mapping[str, str]]) -> None:
    for factor in factors:
        values = {row[factor] for row in rows.values() if factor in row}
        if len(values) > MAX_VALUES:
            raise DataError(
                f"{path}: column {factor} has {len(values)} values; expected at most {MAX_VALUES}, of which each is a "
                "slice; group them (e.g. small, medium, large), or remove the column"
            )


def _normal(name: str) -> str:
    """One spelling of a file name: macOS decomposes accents, spreadsheets do not."""
    return unicodedata.normalize("NFC", name)

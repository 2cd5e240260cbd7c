"""A CSV file of factors fits its folder of photographs, or is an error that names the line."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from benchmarks.selfies.factor_table import MAX_VALUES, FactorTable, read_factor_table
from pipeline.errors import DataError

LABELS = ("no_helmet", "helmet")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("helmet/a.jpg", "helmet/b.jpg", "no_helmet/b.jpg", "no_helmet/é.jpg"):
        path = tmp_path / "photographs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "photographs"


def read(folder: Path, text: str | bytes) -> FactorTable:
    path = folder.parent / "factors.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_factor_table(path, folder, LABELS)


def test_rows_name_files_by_path_or_by_a_name_that_occurs_once(folder: Path) -> None:
    table = read(folder, "file,light,skin_tone\na.jpg,night,monk_7\nno_helmet/b.jpg, day ,\n")
    assert table.of_file("helmet/a.jpg") == {"light": "night", "skin_tone": "monk_7"}
    assert table.of_file("no_helmet/b.jpg") == {"light": "day"}, "an empty cell says nothing"
    assert table.of_file("helmet/b.jpg") == {}, "a file without a row has no factors"


def test_what_spreadsheets_write_is_read(folder: Path) -> None:
    """A byte order mark, Windows line ends and slashes, empty lines, and accents as a letter of their own."""
    accented = unicodedata.normalize("NFD", "no_helmet\\é.jpg")
    table = read(folder, f"\ufefffile,light\r\n{accented},night\r\n,\r\n\r\n".encode())
    assert table.of_file("no_helmet/é.jpg") == {"light": "night"}


def test_a_label_is_no_factor_and_must_be_the_folder(folder: Path) -> None:
    assert read(folder, "file,label,light\na.jpg,helmet,night\n").of_file("helmet/a.jpg") == {"light": "night"}
    with pytest.raises(DataError, match=r"factors\.csv:2: label 'no_helmet' of helmet/a\.jpg"):
        read(folder, "file,label,light\na.jpg,no_helmet,night\n")


MANY = "file,size\n" + "".join(f"helmet/{i}.jpg,{i}\n" for i in range(MAX_VALUES + 1))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "columns ''; expected one named file"),
        ("file;light\na.jpg;night\n", "separated by semicolons"),
        ("name,light\na.jpg,night\n", "expected one named file"),
        ("file\na.jpg\n", "no column besides file"),
        ("file,light,light\na.jpg,x,y\n", "column 'light' twice"),
        ("file,Skin Tone\na.jpg,x\n", "column 'Skin Tone'; expected small letters"),
        ("file,light\na.jpg,x,y\n", ":2: 3 cells; expected 2"),
        ("file,light\nb.jpg,x\n", "'b.jpg' is no_helmet/b.jpg and helmet/b.jpg; expected LABEL/FILE"),
        ("file,light\na.jpg,x\nhelmet/a.jpg,y\n", ":3: a second row for 'helmet/a.jpg'"),
        ("file,light\na.jpg,x\nmask/z.jpg,y\n", "1 of 2 rows are of files that"),
        ("file,light\na.jpg,x\x07\n", "expected a word of at most"),
        (b"file,light\na.jpg,\xff\n", "cannot be read as CSV"),
        ('file,light\n"a.jpg,x\n', "cannot be read as CSV"),
    ],
)
def test_a_table_that_does_not_fit_is_an_error_with_its_place(folder: Path, text: str | bytes, problem: str) -> None:
    with pytest.raises(DataError) as caught:
        read(folder, text)
    assert "factors.csv" in str(caught.value)
    assert problem in str(caught.value)


def test_a_column_with_too_many_values_is_refused(folder: Path) -> None:
    for i in range(MAX_VALUES + 1):
        (folder / "helmet" / f"{i}.jpg").touch()
    with pytest.raises(DataError, match=f"column size has {MAX_VALUES + 1} values; expected at most {MAX_VALUES}"):
        read(folder, MANY)


def test_a_missing_file_is_an_error(folder: Path) -> None:
    with pytest.raises(DataError, match="no such file; expected a CSV file with a column file"):
        read_factor_table(folder / "none.csv", folder, LABELS)

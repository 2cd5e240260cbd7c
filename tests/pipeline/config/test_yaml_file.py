"""YAML that a person or a stranger wrote is read within limits, and its errors give the line."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest
import yaml

from pipeline.config import yaml_file
from pipeline.config.yaml_file import YamlError, parse_yaml, read_yaml
from pipeline.errors import DataError

NAMES = "abcdefghijkl"
ALIASES = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in itertools.pairwise(NAMES)
)
MERGES = "a: &a {k: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{','.join([f'*{before}'] * 9)}]}}\n" for before, name in itertools.pairwise(NAMES)
)


def refuse(data: bytes | str) -> str:
    start = time.perf_counter()
    with pytest.raises(YamlError) as caught:
        parse_yaml(data)
    assert time.perf_counter() - start < 2
    assert len(str(caught.value)) < 2000
    return str(caught.value)


def test_the_files_of_the_checkout_read_the_same_as_with_pyyaml(root: Path) -> None:
    for path in (root / "params.yaml", root / "dvc.yaml", root / "dvc.lock", *(root / "policies").glob("*.yaml")):
        assert read_yaml(path, DataError) == yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", " line 3: a: given twice, first in line 1; expected it once"),
        ("x:\n  y:\n  - {k: 1, 'k': 2}", " line 3: x.y.0.k: given twice, first in line 3; expected it once"),
        ("x: {on: 1}\ny:\n  no: 1\n  off: 2", " line 4: y.off: given twice, first in line 3; expected it once"),
        ("a: &a {k: 1}\nb:\n  <<: *a\n  <<: *a", " line 4: b.<<: given twice, first in line 3; expected it once"),
    ],
)
def test_a_key_that_is_given_twice_is_an_error_with_both_lines(text: str, expected: str) -> None:
    assert refuse(text) == expected


def test_every_repeated_key_is_named_once_also_where_an_alias_repeats_its_section() -> None:
    message = refuse("a: &a\n  k: 1\n  k: 2\nb: [*a, *a]\nc:\n  d: 1\n  d: 2\n")
    assert [line.split(":")[0] for line in message.splitlines()] == [" line 3", " line 7"]


def test_a_key_may_override_one_that_is_merged() -> None:
    assert parse_yaml("a: &a {k: 1, l: 2}\nb:\n  <<: *a\n  k: 3\n")["b"] == {"k": 3, "l": 2}


@pytest.mark.parametrize(
    "bomb", [ALIASES, MERGES, "[" + ",".join("x" * 150_000) + "]"], ids=["aliases", "merges", "list"]
)
def test_values_beyond_the_limit_are_refused_before_they_are_built(bomb: str) -> None:
    assert "more than 100,000 values" in refuse(bomb)


@pytest.mark.parametrize(
    "deep",
    ["[" * 5000 + "]" * 5000, "{a: " * 5000, "".join(" " * n + "a:\n" for n in range(1300))],
    ids=["lists", "sections", "indented sections"],
)
def test_lists_and_sections_nested_beyond_the_limit_are_refused(deep: str) -> None:
    assert "more than 40 lists and sections within each other" in refuse(deep)


def test_an_alias_within_itself_is_refused() -> None:
    assert "*a stands within itself" in refuse("x: &a [1, *a]")


def test_a_file_beyond_the_limit_is_refused_and_read_no_further(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    with path.open("wb") as file:
        file.truncate(10**12)  # a sparse file
    with pytest.raises(DataError, match=r"big\.yaml: larger than 1,000,000 bytes"):
        read_yaml(path, DataError)


@pytest.mark.parametrize(
    "text",
    ["a: 2020-13-45", "a: !!int x", "a: !!float x", "a: !!bool x", "a: !!timestamp x", "a: 0b_", f"a: {'9' * 5000}"],
    ids=["date", "int", "float", "bool", "timestamp", "binary", "digits"],
)
def test_a_value_that_is_not_of_its_kind_is_an_error_with_its_line(text: str) -> None:
    assert refuse(f"b: 1\n{text}").startswith(" line 2: not YAML: ")


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "a: *b",
        f"a: *{'z' * 100_000}",
        "a: 1\n---\nb: 1",
        "a: \0",
        "\ta: 1",
        "a: =",
        "? [1]\n: 2",
        "!!set {a, a}",
    ],
    ids=[
        "open list",
        "unknown alias",
        "long alias",
        "documents",
        "null character",
        "tab",
        "value",
        "list as key",
        "set",
    ],
)
def test_text_that_is_not_yaml_is_an_error(text: str) -> None:
    refuse(text)


def test_a_tag_that_would_run_code_is_an_error() -> None:
    assert "could not determine a constructor" in refuse("!!python/object/apply:os.system [ls]")


def test_bytes_that_are_not_utf_8_are_an_error_with_their_line() -> None:
    assert refuse("a: 1\nb: café".encode("latin-1")).startswith(" line 2: byte 0xe9 is not UTF-8; expected UTF-8")
    assert parse_yaml("\ufeffa: café".encode()) == {"a": "café"}, "a byte order mark is none of the text"


def test_a_folder_and_a_missing_or_unreadable_file_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="a folder, or below a file"):
        read_yaml(tmp_path, DataError)
    with pytest.raises(DataError, match=r"x\.yaml is missing; run the stage"):
        read_yaml(tmp_path / "x.yaml", DataError, "run the stage")

    def refused(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(yaml_file, "_read", refused)
    with pytest.raises(DataError, match=r"x\.yaml: cannot be read \(Permission denied\)"):
        read_yaml(tmp_path / "x.yaml", DataError)

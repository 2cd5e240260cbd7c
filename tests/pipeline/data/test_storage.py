"""Files of records: complete or absent, with errors that name file, line and next command."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.data.records import Prompt, Rejection
from pipeline.data.storage import (
    atomic_folder,
    atomic_write,
    read_json,
    read_metrics,
    read_rows,
    write_csv,
    write_json,
    write_rows,
)
from pipeline.errors import DataError, UsageError

ROW = Rejection(image_id="p1", label="hélmet", reason="dark", score=0.01, threshold=0.05, detail='a "black" frame')


def test_rows_are_read_back_equal_from_one_json_object_per_line(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "rejected.jsonl"
    assert write_rows(path, [ROW, ROW]) == 2
    assert read_rows(path, Rejection) == [ROW, ROW]
    assert [json.loads(line)["label"] for line in path.read_text(encoding="utf-8").splitlines()] == ["hélmet"] * 2


def test_without_rows_the_file_is_neither_missing_nor_of_zero_bytes_of_which_dvc_warns(tmp_path: Path) -> None:
    assert write_rows(tmp_path / "rows.jsonl", []) == 0
    assert (tmp_path / "rows.jsonl").read_bytes() == b"\n"
    assert read_rows(tmp_path / "rows.jsonl", Rejection) == []


def test_a_file_of_zero_bytes_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").touch()
    assert read_rows(tmp_path / "rows.jsonl", Rejection) == []


@pytest.mark.parametrize(
    "read", [lambda path: read_rows(path, Prompt), lambda path: read_json(path, Prompt), read_metrics]
)
def test_a_missing_file_is_an_error_with_its_name_and_the_next_command(read: object, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone.json: missing; expected .*run the stage that writes it: dvc repro"):
        read(tmp_path / "gone.json")  # type: ignore[operator]


def test_a_damaged_line_is_an_error_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_rows(path, [ROW, ROW])
    path.write_text(path.read_text(encoding="utf-8").replace('"score":0.01', '"score":"low"', 1), encoding="utf-8")
    with pytest.raises(DataError, match=r"rows.jsonl:1: not a Rejection row: score: .*number"):
        read_rows(path, Rejection)
    path.write_text(ROW.model_dump_json() + "\n{half", encoding="utf-8")
    with pytest.raises(DataError, match=r"rows.jsonl:2: not a Rejection row: line: Invalid JSON"):
        read_rows(path, Rejection)


def test_a_record_is_read_back_equal_from_its_own_file(tmp_path: Path) -> None:
    write_json(tmp_path / "one.json", ROW)
    assert read_json(tmp_path / "one.json", Rejection) == ROW
    write_json(tmp_path / "one.json", {"image_id": "p1"})
    with pytest.raises(DataError, match=r"one.json: not a Rejection: label: Field required"):
        read_json(tmp_path / "one.json", Rejection)


def test_metrics_are_one_json_object_and_nan_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_json(path, {"accuracy": 0.5, "slices": {"night": {"accuracy": 0.25}}})
    assert read_metrics(path) == {"accuracy": 0.5, "slices": {"night": {"accuracy": 0.25}}}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"accuracy": float("nan")})
    assert read_metrics(path)["accuracy"] == 0.5, "a failed write leaves the old file"


@pytest.mark.parametrize(("text", "found"), [("[1]", "found list; expected a JSON object"), ("{", "not JSON")])
def test_metrics_that_are_no_json_object_are_an_error(text: str, found: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=f"metrics.json: {found}"):
        read_metrics(tmp_path / "metrics.json")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(TypeError, match="bytes-like"), atomic_write(path) as file:
        assert file.write(b"half of the n") + file.write("new file") > 0  # type: ignore[arg-type]
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"
    with atomic_write(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_and_folders_have_the_mode_that_the_umask_leaves(umask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        write_json(tmp_path / "one.json", ROW)
        with atomic_folder(tmp_path / "out") as folder:
            (folder / "file").touch()
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "one.json", tmp_path / "out")}
    assert modes == {"one.json": mode, "out": 0o777 & ~umask}


def test_a_folder_replaces_the_old_one_on_success_only(tmp_path: Path) -> None:
    def fill(name: str, *, fail: bool) -> None:
        with atomic_folder(tmp_path / "out", own=("*",)) as folder:
            (folder / name).touch()
            if fail:
                raise ValueError("half way")

    fill("old", fail=False)
    with pytest.raises(ValueError, match="half way"):
        fill("half", fail=True)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["old"]
    fill("new", fail=False)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_holds_anything_of_somebody_else_is_not_replaced(tmp_path: Path) -> None:
    own = ("index.jsonl", "shard-*.tar")
    for number, foreign in enumerate(("notes.txt", ".hidden", "shard/notes.txt")):
        out = tmp_path / f"out{number}"
        for name in ("index.jsonl", "shard-00000.tar", foreign):
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_text("mine")
        with pytest.raises(UsageError, match=f"not a folder that Gossamer wrote: it holds '{foreign}'"):
            replace(out, own)
        assert {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()} == {
            "index.jsonl",
            "shard-00000.tar",
            foreign,
        }


def test_a_folder_without_the_mark_a_link_and_a_file_are_not_replaced(tmp_path: Path) -> None:
    own = ("index.jsonl", "*")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "cat.jpg").touch()
    (tmp_path / "link").symlink_to("pictures")
    (tmp_path / "broken").symlink_to("nowhere")
    (tmp_path / "file").touch()
    expected = {"pictures": "it has no index.jsonl", "link": "a link", "broken": "a link", "file": "a file"}
    for name, problem in expected.items():
        with pytest.raises(UsageError, match=problem):
            replace(tmp_path / name, own)
    with pytest.raises(UsageError, match=r"it holds 'cat\.jpg'"):
        replace(tmp_path / "pictures", ())
    assert (tmp_path / "pictures" / "cat.jpg").exists()


def test_a_folder_of_gossamers_own_files_and_those_of_finder_is_replaced(tmp_path: Path) -> None:
    for name in ("index.jsonl", "shard-00000.tar", ".DS_Store"):
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    replace(tmp_path, ("index.jsonl", "shard-*.tar"))
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def replace(out: Path, own: Sequence[str]) -> None:
    with atomic_folder(out, own=own) as folder:
        (folder / "new").touch()


def test_a_table_has_a_header_and_without_rows_an_empty_line(tmp_path: Path) -> None:
    write_csv(tmp_path / "table.csv", [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}])
    assert (tmp_path / "table.csv").read_text(encoding="utf-8") == "epoch,loss\n1,0.5\n2,0.25\n"
    write_csv(tmp_path / "table.csv", [])
    assert (tmp_path / "table.csv").read_bytes() == b"\n"

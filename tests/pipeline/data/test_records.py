from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.data.records import Prompt, Rejection
from pipeline.data.storage import atomic_write, read_json, read_metrics, read_rows, write_json, write_rows
from pipeline.errors import DataError

ROW = Rejection(image_id="p1", label="hélmet", reason="dark", score=0.01, threshold=0.05, detail='a "black" frame')


def test_rows_survive_the_disk_one_json_object_a_line(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "rejected.jsonl"
    assert write_rows(path, [ROW, ROW]) == 2
    assert read_rows(path, Rejection) == [ROW, ROW]
    assert [json.loads(line)["label"] for line in path.read_text(encoding="utf-8").splitlines()] == ["hélmet"] * 2


def test_no_rows_are_an_empty_file_not_a_missing_one(tmp_path: Path) -> None:
    assert write_rows(tmp_path / "rows.jsonl", []) == 0
    assert read_rows(tmp_path / "rows.jsonl", Rejection) == []


def test_a_record_is_frozen_and_refuses_strange_keys() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        ROW.score = 1.0  # type: ignore[misc]
    with pytest.raises(ValidationError, match="colour"):
        Rejection.model_validate({**ROW.model_dump(), "colour": "red"})


@pytest.mark.parametrize(
    "read", [lambda path: read_rows(path, Prompt), lambda path: read_json(path, Prompt), read_metrics]
)
def test_a_missing_file_names_itself_and_the_next_step(read: object, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone.json: missing; expected .*run the stage that writes it: dvc repro"):
        read(tmp_path / "gone.json")  # type: ignore[operator]


def test_a_damaged_line_is_found_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_rows(path, [ROW, ROW])
    path.write_text(path.read_text(encoding="utf-8").replace('"score":0.01', '"score":"low"', 1), encoding="utf-8")
    with pytest.raises(DataError, match=r"rows.jsonl:1: not a Rejection row: score: .*number"):
        read_rows(path, Rejection)
    path.write_text(ROW.model_dump_json() + "\n{half", encoding="utf-8")
    with pytest.raises(DataError, match=r"rows.jsonl:2: not a Rejection row: line: Invalid JSON"):
        read_rows(path, Rejection)


def test_one_record_survives_a_file_of_its_own(tmp_path: Path) -> None:
    write_json(tmp_path / "one.json", ROW)
    assert read_json(tmp_path / "one.json", Rejection) == ROW
    write_json(tmp_path / "one.json", {"image_id": "p1"})
    with pytest.raises(DataError, match=r"one.json: not a Rejection: label: Field required"):
        read_json(tmp_path / "one.json", Rejection)


def test_metrics_are_one_json_object_without_nan(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_json(path, {"accuracy": 0.5, "slices": {"night": {"accuracy": 0.25}}})
    assert read_metrics(path) == {"accuracy": 0.5, "slices": {"night": {"accuracy": 0.25}}}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"accuracy": float("nan")})
    assert read_metrics(path)["accuracy"] == 0.5, "a failed write leaves the old file"


@pytest.mark.parametrize(("text", "found"), [("[1]", "found list; expected a JSON object"), ("{", "not JSON")])
def test_metrics_that_are_no_object_are_refused(text: str, found: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=f"metrics.json: {found}"):
        read_metrics(tmp_path / "metrics.json")


def test_a_write_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(TypeError, match="bytes-like"), atomic_write(path) as file:
        assert file.write(b"half of the n") + file.write("new file") > 0  # type: ignore[arg-type]
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"
    with atomic_write(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o644

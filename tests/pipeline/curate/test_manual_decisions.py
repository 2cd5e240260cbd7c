"""Decisions: on disk before anyone is told, whole lines only, each for one very picture."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest

from pipeline.curate.manual_decisions import append_decision, read_decisions, standing
from pipeline.data.records import Decision, Image
from pipeline.errors import DataError
from tests.pipeline.curate.review_app.small_desk import full_disk

Choice = Literal["keep", "drop", "undo"]


def decision(image_id: str, choice: Choice = "keep", sha256: str = "aa") -> Decision:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    return Decision(image_id=image_id, sha256=sha256, decision=choice, reason="dark", decided_at=at)


def image(image_id: str, sha256: str = "aa") -> Image:
    row = {"id": image_id, "group": "g", "label": "helmet", "factors": {}, "shard": "s.tar", "offset": 0}
    return Image.model_validate({**row, "size_bytes": 1, "sha256": sha256, "width": 1, "height": 1})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "decisions.jsonl"


def test_a_missing_file_and_an_empty_one_hold_no_decisions(file: Path) -> None:
    assert read_decisions(file) == []
    file.parent.mkdir()
    file.touch()
    assert read_decisions(file) == []


def test_decisions_come_back_in_the_order_they_were_made(file: Path) -> None:
    made = [decision("1"), decision("2", "drop"), decision("1", "undo")]
    for one in made:
        append_decision(file, one)
    assert read_decisions(file) == made
    assert file.read_bytes().count(b"\n") == 3


def test_a_half_written_last_line_is_passed_over_and_removed_by_the_next_decision(file: Path) -> None:
    append_decision(file, decision("1"))
    whole = file.read_bytes()
    file.write_bytes(whole + whole[: len(whole) // 2])
    assert read_decisions(file) == [decision("1")]
    append_decision(file, decision("2"))
    assert read_decisions(file) == [decision("1"), decision("2")]


def test_a_last_line_that_only_lacks_its_newline_counts(file: Path) -> None:
    append_decision(file, decision("1"))
    file.write_bytes(file.read_bytes().rstrip(b"\n"))
    assert read_decisions(file) == [decision("1")]
    append_decision(file, decision("2"))
    assert read_decisions(file) == [decision("1"), decision("2")]


def test_a_damaged_line_in_the_middle_is_refused_with_its_number(file: Path) -> None:
    append_decision(file, decision("1"))
    file.write_bytes(file.read_bytes() + b"<<<<<<< HEAD\n")
    append_decision(file, decision("2"))
    with pytest.raises(DataError, match=r"decisions\.jsonl:2: not a Decision row: .*mend the line, or: git checkout"):
        read_decisions(file)


@pytest.mark.parametrize("room", [0, 20])
def test_a_full_disk_leaves_the_file_as_it_was(file: Path, room: int) -> None:
    append_decision(file, decision("1"))
    before = file.read_bytes()
    with full_disk(file, room), pytest.raises(OSError, match="File too large"):
        append_decision(file, decision("2"))
    assert file.read_bytes() == before
    append_decision(file, decision("3"))
    assert read_decisions(file) == [decision("1"), decision("3")]


def test_writers_on_one_file_take_turns(file: Path) -> None:
    ids = [f"{writer}-{number}" for number in range(25) for writer in range(4)]
    with ThreadPoolExecutor(4) as writers:
        list(writers.map(lambda image_id: append_decision(file, decision(image_id)), ids))
    assert sorted(one.image_id for one in read_decisions(file)) == sorted(ids)


def test_the_last_decision_on_a_picture_holds_and_undo_clears_it() -> None:
    made = [decision("1"), decision("2"), decision("1", "drop"), decision("2", "undo"), decision("3", "undo")]
    found = standing(made, [image("1"), image("2"), image("3")])
    assert {row: one.decision for row, one in found.rows.items()} == {0: "drop"}
    assert (found.unknown, found.stale) == ([], [])


def test_a_decision_on_a_picture_drawn_anew_is_stale_and_on_none_unknown() -> None:
    made = [decision("1", sha256="old"), decision("gone"), decision("2")]
    found = standing(made, [image("1"), image("2")])
    assert found.rows == {1: made[2]}
    assert found.stale == [made[0]]
    assert found.unknown == [made[1]]


def test_a_picture_drawn_again_as_it_was_has_its_decision_back() -> None:
    made = [decision("1", "drop", "first"), decision("1", "keep", "second")]
    assert standing(made, [image("1", "first")]).rows == {0: made[0]}
    assert standing(made, [image("1", "second")]).rows == {0: made[1]}

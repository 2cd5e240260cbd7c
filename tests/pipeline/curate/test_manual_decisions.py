"""Manual decisions: complete lines on disk, each for one image id and its bytes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest

from pipeline.curate.manual_decisions import append_decision, read_decisions, resolve_decisions
from pipeline.data.records import Decision, Image
from pipeline.errors import DataError
from tests.pipeline.curate.review_app.small_session import full_disk

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


def test_a_missing_or_empty_file_holds_no_decisions(file: Path) -> None:
    assert read_decisions(file) == []
    file.parent.mkdir()
    file.touch()
    assert read_decisions(file) == []
    file.write_bytes(b"\n \n")
    assert read_decisions(file) == []
    append_decision(file, decision("1"))
    assert read_decisions(file) == [decision("1")]


def test_the_file_of_the_checkout_is_not_of_zero_bytes_of_which_dvc_warns(root: Path) -> None:
    assert (root / "data/decisions.jsonl").stat().st_size > 0


def test_decisions_are_read_in_the_order_they_were_made(file: Path) -> None:
    decisions = [decision("1"), decision("2", "drop"), decision("1", "undo")]
    for row in decisions:
        append_decision(file, row)
    assert read_decisions(file) == decisions
    assert file.read_bytes().count(b"\n") == 3


def test_an_incomplete_last_line_is_ignored_and_removed_by_the_next_decision(file: Path) -> None:
    append_decision(file, decision("1"))
    line = file.read_bytes()
    file.write_bytes(line + line[: len(line) // 2])
    assert read_decisions(file) == [decision("1")]
    append_decision(file, decision("2"))
    assert read_decisions(file) == [decision("1"), decision("2")]


def test_a_last_line_that_lacks_only_its_newline_counts(file: Path) -> None:
    append_decision(file, decision("1"))
    file.write_bytes(file.read_bytes().rstrip(b"\n"))
    assert read_decisions(file) == [decision("1")]
    append_decision(file, decision("2"))
    assert read_decisions(file) == [decision("1"), decision("2")]


def test_a_damaged_line_in_the_middle_is_an_error_that_gives_its_number(file: Path) -> None:
    append_decision(file, decision("1"))
    file.write_bytes(file.read_bytes() + b"<<<<<<< HEAD\n")
    append_decision(file, decision("2"))
    with pytest.raises(DataError, match=r"decisions\.jsonl:2: not a Decision row: .*repair the line, or: git checkout"):
        read_decisions(file)


@pytest.mark.parametrize("room", [0, 20])
def test_a_full_disk_leaves_the_file_unchanged(file: Path, room: int) -> None:
    append_decision(file, decision("1"))
    before = file.read_bytes()
    with full_disk(file, room), pytest.raises(OSError, match="File too large"):
        append_decision(file, decision("2"))
    assert file.read_bytes() == before
    append_decision(file, decision("3"))
    assert read_decisions(file) == [decision("1"), decision("3")]


def test_concurrent_writers_lose_no_decision(file: Path) -> None:
    ids = [f"{writer}-{number}" for number in range(25) for writer in range(4)]
    with ThreadPoolExecutor(4) as writers:
        list(writers.map(lambda image_id: append_decision(file, decision(image_id)), ids))
    assert sorted(row.image_id for row in read_decisions(file)) == sorted(ids)


def test_the_last_decision_on_an_image_applies_and_undo_clears_it() -> None:
    decisions = [decision("1"), decision("2"), decision("1", "drop"), decision("2", "undo"), decision("3", "undo")]
    resolved = resolve_decisions(decisions, [image("1"), image("2"), image("3")])
    assert {row: last.decision for row, last in resolved.by_row.items()} == {0: "drop"}
    assert (resolved.unknown, resolved.stale) == ([], [])


def test_decisions_on_changed_images_are_stale_and_on_missing_ones_unknown() -> None:
    decisions = [decision("1", sha256="old"), decision("gone"), decision("2")]
    resolved = resolve_decisions(decisions, [image("1"), image("2")])
    assert resolved.by_row == {1: decisions[2]}
    assert resolved.stale == [decisions[0]]
    assert resolved.unknown == [decisions[1]]


def test_a_decision_applies_again_when_the_image_has_its_old_bytes() -> None:
    decisions = [decision("1", "drop", "first"), decision("1", "keep", "second")]
    assert resolve_decisions(decisions, [image("1", "first")]).by_row == {0: decisions[0]}
    assert resolve_decisions(decisions, [image("1", "second")]).by_row == {0: decisions[1]}

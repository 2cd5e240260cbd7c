"""The desk's state: the order pictures are shown in, and decisions that are on disk before they hold."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.curate.manual_decisions import read_decisions
from pipeline.curate.review_app.session import open_desk
from pipeline.data.storage import write_rows
from pipeline.errors import DataError
from tests.pipeline.curate.review_app.small_desk import doubt, full_disk, lay_out, paths_in, small_desk


def test_doubtful_pictures_come_first_by_label_and_reason_the_most_doubtful_ahead(tmp_path: Path) -> None:
    desk = small_desk(tmp_path, 24)
    shown = [(tile.image.label, tile.said.reason, tile.said.score) for tile in desk.tiles.values() if tile.said]
    assert shown == sorted(shown)
    assert [tile.said is None for tile in desk.tiles.values()] == [False] * 8 + [True] * 16


def test_the_listing_is_columns_of_equal_length(tmp_path: Path) -> None:
    desk = small_desk(tmp_path)
    desk.decide("00003", "drop")
    listing = desk.listing()
    row = listing["id"].index("00003")
    assert {len(listing[name]) for name in ("id", "score", "threshold", "detail", "decision")} == {12}
    for column in (listing["label"], listing["reason"], *listing["factors"].values()):
        assert len(column["rows"]) == 12
        assert column["values"] == sorted(set(column["values"]))
    assert listing["decision"][row] == "drop"
    assert listing["detail"][row] == "looks doubtful: 3"
    assert listing["reason"]["values"][listing["reason"]["rows"][row]] == "blurry"
    assert listing["factors"]["light"]["values"] == ["day", "indoor", "night"]


def test_a_decision_is_on_disk_and_held_by_the_next_sitting(tmp_path: Path) -> None:
    desk = small_desk(tmp_path)
    desk.decide("00003", "drop", lambda: datetime(2026, 1, 2, tzinfo=UTC))
    desk.decide("00001", "drop")
    desk.decide("00001", "undo")
    first = read_decisions(desk.paths.decisions)[0]
    assert (first.image_id, first.decision, first.reason) == ("00003", "drop", "blurry")
    assert first.sha256 == desk.tiles["00003"].image.sha256
    assert desk.made == 3
    assert open_desk(desk.paths).decided == desk.decided == {"00003": "drop"}


def test_a_decision_that_cannot_be_written_does_not_hold(tmp_path: Path) -> None:
    desk = small_desk(tmp_path)
    with full_disk(desk.paths.decisions), pytest.raises(OSError, match="File too large"):
        desk.decide("00003", "drop")
    assert (desk.decided, desk.made) == ({}, 0)
    assert read_decisions(desk.paths.decisions) == []


def test_nothing_curated_yet_names_the_next_command(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"index\.jsonl: missing; .*dvc repro"):
        open_desk(paths_in(tmp_path))
    paths = lay_out(tmp_path, 12)
    paths.rejected.unlink()
    with pytest.raises(DataError, match=r"rejected\.jsonl: missing; .*dvc repro"):
        open_desk(paths)


def test_an_empty_curation_is_refused(tmp_path: Path) -> None:
    paths = lay_out(tmp_path, 0)
    with pytest.raises(DataError, match="no images; expected at least one; run: dvc repro curate"):
        open_desk(paths)


def test_rows_of_other_images_are_refused(tmp_path: Path) -> None:
    desk = small_desk(tmp_path)
    stranger = desk.tiles["00000"].image.model_copy(update={"id": "77777"})
    write_rows(desk.paths.rejected, [doubt(stranger)])
    with pytest.raises(DataError, match=r"rejected\.jsonl: image 77777 is not in .*run: dvc repro curate"):
        open_desk(desk.paths)

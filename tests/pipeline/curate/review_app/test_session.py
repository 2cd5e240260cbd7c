"""Review sessions: order of display, and decisions that are on disk before they apply."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import PIL.Image
import pytest

from pipeline.curate.manual_decisions import read_decisions
from pipeline.curate.review_app.session import open_session
from pipeline.data.shards import read_bytes, read_index, repack, write_images
from pipeline.data.storage import write_rows
from pipeline.errors import DataError
from tests.pipeline.curate.review_app.small_session import full_disk, paths_in, rejection, small_session, write_curated


def test_rejected_images_come_first_ordered_by_label_reason_and_score(tmp_path: Path) -> None:
    session = small_session(tmp_path, 24)
    rejections = [(item.image.label, item.rejection) for item in session.items.values()]
    shown = [(label, row.reason, row.score) for label, row in rejections if row]
    assert shown == sorted(shown)
    assert [row is None for _, row in rejections] == [False] * 8 + [True] * 16


def test_the_listing_is_columns_of_equal_length(tmp_path: Path) -> None:
    session = small_session(tmp_path)
    session.decide("00003", "drop")
    listing = session.listing()
    row = listing["id"].index("00003")
    assert {len(listing[name]) for name in ("id", "score", "threshold", "detail", "decision")} == {12}
    for column in (listing["label"], listing["reason"], *listing["factors"].values()):
        assert len(column["rows"]) == 12
        assert column["values"] == sorted(set(column["values"]))
    assert listing["decision"][row] == "drop"
    assert listing["detail"][row] == "looks doubtful: 3"
    assert listing["reason"]["values"][listing["reason"]["rows"][row]] == "blurry"
    assert listing["factors"]["light"]["values"] == ["day", "indoor", "night"]


def test_a_decision_is_on_disk_and_in_force_in_the_next_session(tmp_path: Path) -> None:
    session = small_session(tmp_path)
    session.decide("00003", "drop", lambda: datetime(2026, 1, 2, tzinfo=UTC))
    session.decide("00001", "drop")
    session.decide("00001", "undo")
    first = read_decisions(session.paths.decisions)[0]
    assert (first.image_id, first.decision, first.reason) == ("00003", "drop", "blurry")
    assert first.sha256 == session.items["00003"].image.sha256
    assert session.decision_count == 3
    assert open_session(session.paths).decisions == session.decisions == {"00003": "drop"}


def test_a_decision_that_cannot_be_written_does_not_apply(tmp_path: Path) -> None:
    session = small_session(tmp_path)
    with full_disk(session.paths.decisions), pytest.raises(OSError, match="File too large"):
        session.decide("00003", "drop")
    assert (session.decisions, session.decision_count) == ({}, 0)
    assert read_decisions(session.paths.decisions) == []


def test_missing_files_are_an_error_that_names_the_next_command(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"index\.jsonl: missing; .*dvc repro"):
        open_session(paths_in(tmp_path))
    paths = write_curated(tmp_path, 12)
    paths.rejected.unlink()
    with pytest.raises(DataError, match=r"rejected\.jsonl: missing; .*dvc repro"):
        open_session(paths)


def test_a_curation_without_images_is_an_error(tmp_path: Path) -> None:
    paths = write_curated(tmp_path, 0)
    with pytest.raises(DataError, match="no images; expected at least one; run: dvc repro curate"):
        open_session(paths)


def test_rows_of_images_that_are_not_in_the_index_are_an_error(tmp_path: Path) -> None:
    session = small_session(tmp_path)
    unknown = session.items["00000"].image.model_copy(update={"id": "77777"})
    write_rows(session.paths.rejected, [rejection(unknown)])
    with pytest.raises(DataError, match=r"rejected\.jsonl: image 77777 is not in .*run: dvc repro curate"):
        open_session(session.paths)


def test_a_browser_is_sent_the_pixels_that_training_sees(tmp_path: Path) -> None:
    paths = write_curated(tmp_path, 2)
    hidden = PIL.Image.new("RGBA", (96, 128), (200, 30, 10, 0))
    buffer = io.BytesIO()
    hidden.save(buffer, "PNG")
    images = read_index(paths.images)
    encoded = [repack(images[0], buffer.getvalue()), repack(images[1], read_bytes(paths.images, images[1]))]
    write_images(paths.images, encoded, 4)
    session = open_session(paths)
    with PIL.Image.open(io.BytesIO(session.encoded("00000"))) as sent:
        assert (sent.mode, sent.getpixel((0, 0))) == ("RGB", (255, 255, 255))
    assert session.encoded("00001") == encoded[1].data

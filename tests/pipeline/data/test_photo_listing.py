"""Which files of a folder of photographs are read, and the reason of every other one."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pipeline.data.photo_listing import count_reasons, list_photographs
from pipeline.errors import DataError

LABELS = ("no_helmet", "helmet")
PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for label in LABELS:
        (tmp_path / "photos" / label).mkdir(parents=True)
        (tmp_path / "photos" / label / "a.jpg").write_bytes(JPEG)
    return tmp_path / "photos"


def reasons_of(folder: Path) -> dict[str, str]:
    return {row.image_id: row.reason for row in list_photographs(folder, LABELS).rejections}


def detail_of(folder: Path, name: str) -> str:
    return next(row.detail for row in list_photographs(folder, LABELS).rejections if row.image_id == name)


@pytest.mark.parametrize("suffix", ["jpg", "JPG", "jpeg", "jfif", "JFIF", "jpe", "png", "webp", "heic", "HEIF", "hif"])
def test_files_with_a_photographs_suffix_are_read(folder: Path, suffix: str) -> None:
    (folder / "helmet" / f"b.{suffix}").write_bytes(JPEG)
    listing = list_photographs(folder, LABELS)
    assert [path.name for _, path in listing.photographs] == ["a.jpg", "a.jpg", f"b.{suffix}"]
    assert listing.rejections == []


@pytest.mark.parametrize(
    "name", ["._a.jpg", "Thumbs.db", "thumbs.db", "desktop.ini", ".DS_Store", "Icon\r", ".nomedia", "ehthumbs.db"]
)
def test_files_of_the_operating_system_are_skipped_as_what_they_are(folder: Path, name: str) -> None:
    (folder / "helmet" / name).write_bytes(PNG)
    (folder / name).write_bytes(PNG)
    assert reasons_of(folder) == {f"helmet/{name}": "system_file", name: "system_file"}


@pytest.mark.parametrize("name", ["__MACOSX", "@eaDir", ".thumbnails"])
def test_so_are_folders_of_the_operating_system(folder: Path, name: str) -> None:
    for place in (folder / name, folder / "helmet" / name / "inner"):
        place.mkdir(parents=True)
        (place / "a.jpg").write_bytes(JPEG)
    assert set(reasons_of(folder).values()) == {"system_file"}
    assert len(reasons_of(folder)) == 2


def test_hidden_files_such_as_deleted_ones_are_not_read(folder: Path) -> None:
    (folder / "helmet" / ".trashed-1700000000-a.jpg").write_bytes(JPEG)
    (folder / ".git").mkdir()
    (folder / ".git" / "config").touch()
    assert reasons_of(folder) == {"helmet/.trashed-1700000000-a.jpg": "hidden_file", ".git/config": "hidden_file"}


@pytest.mark.parametrize(
    ("name", "data", "reason", "detail"),
    [
        ("notes.txt", b"a note", "other_file", "expected one of the suffixes .jpg"),
        ("no suffix", b"", "other_file", "expected one of the suffixes .jpg"),
        ("a.jpg.download", JPEG, "other_file", "the format is JPEG; to read it, give it the suffix .jpg"),
        ("a.tif", b"II*\0", "unsupported_format", "the format is TIFF or raw"),
        ("a.mov", b"\0\0\0\x14ftypqt  ", "unsupported_format", "the format is video"),
        ("a.avif", b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", "unsupported_format", "the format is AVIF"),
    ],
)
def test_other_files_are_named_by_what_they_are(folder: Path, name: str, data: bytes, reason: str, detail: str) -> None:
    (folder / "helmet" / name).write_bytes(data)
    assert reasons_of(folder) == {f"helmet/{name}": reason}
    assert detail in detail_of(folder, f"helmet/{name}")


def test_every_file_of_a_nested_folder_is_named_and_an_empty_one_too(folder: Path) -> None:
    deep = folder / "helmet" / "2024" / "may"
    deep.mkdir(parents=True)
    (deep / "a.jpg").write_bytes(JPEG)
    (deep.parent / "b.jpg").write_bytes(JPEG)
    (folder / "helmet" / "empty").mkdir()
    assert reasons_of(folder) == {
        "helmet/2024/b.jpg": "nested_folder",
        "helmet/2024/may/a.jpg": "nested_folder",
        "helmet/empty": "nested_folder",
    }


def test_files_in_no_labels_folder_are_named(folder: Path) -> None:
    (folder / "maybe").mkdir()
    (folder / "maybe" / "a.jpg").write_bytes(JPEG)
    (folder / "index.csv").write_text("file,label")
    assert reasons_of(folder) == {"maybe/a.jpg": "outside_labels", "index.csv": "outside_labels"}
    assert [row.label for row in list_photographs(folder, LABELS).rejections] == ["", ""]


def test_a_link_to_a_picture_outside_the_folder_is_refused_by_name(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "private.jpg").write_bytes(JPEG)
    (folder / "helmet" / "b.jpg").symlink_to(tmp_path / "private.jpg")
    (folder / "helmet" / "c.jpg").symlink_to("../../private.jpg")
    (folder / "helmet" / "d.jpg").symlink_to("b.jpg")
    assert reasons_of(folder) == dict.fromkeys(("helmet/b.jpg", "helmet/c.jpg", "helmet/d.jpg"), "link_outside")
    assert str(tmp_path / "private.jpg") in detail_of(folder, "helmet/b.jpg")


def test_a_linked_label_folder_outside_is_refused_as_a_whole(folder: Path, tmp_path: Path) -> None:
    (folder / "helmet").rename(tmp_path / "elsewhere")
    (folder / "helmet").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"helmet: no photographs among 1 entries \(1 link_outside\)"):
        list_photographs(folder, LABELS)


def test_links_within_the_folder_and_to_the_folder_itself_are_followed(folder: Path, tmp_path: Path) -> None:
    (folder / "helmet" / "b.jpg").symlink_to("a.jpg")
    (tmp_path / "shortcut").symlink_to(folder)
    listing = list_photographs(tmp_path / "shortcut", LABELS)
    assert [path.name for _, path in listing.photographs] == ["a.jpg", "a.jpg", "b.jpg"]


def test_broken_and_circular_links_are_named(folder: Path) -> None:
    (folder / "helmet" / "gone.jpg").symlink_to("nowhere.jpg")
    (folder / "helmet" / "loop.jpg").symlink_to("loop.jpg")
    (folder / "helmet" / "up").symlink_to("..")
    assert reasons_of(folder) == {
        "helmet/gone.jpg": "broken_link",
        "helmet/loop.jpg": "broken_link",
        "helmet/up": "nested_folder",
    }


def test_a_pipe_is_named_and_never_opened(folder: Path) -> None:
    os.mkfifo(folder / "helmet" / "b.jpg")
    assert stat.S_ISFIFO((folder / "helmet" / "b.jpg").stat().st_mode)
    assert reasons_of(folder) == {"helmet/b.jpg": "special_file"}


def test_a_name_that_is_no_text_is_escaped(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder / "helmet") + b"/\xff.txt")).touch()
    assert reasons_of(folder) == {"helmet/\\udcff.txt": "other_file"}


def test_a_folder_that_cannot_be_listed_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DataError, match=r"photos: cannot be listed \(Permission denied\); expected"):
        list_photographs(folder, LABELS)


def test_a_label_without_photographs_is_an_error_with_the_reasons(folder: Path) -> None:
    (folder / "helmet" / "a.jpg").rename(folder / "helmet" / "a.txt")
    (folder / "helmet" / ".DS_Store").touch()
    with pytest.raises(DataError, match=r"among 2 entries \(1 system_file, 1 other_file\); expected a folder"):
        list_photographs(folder, LABELS)


def test_reasons_are_counted_the_most_frequent_first(folder: Path) -> None:
    for name in ("a.txt", "b.txt", "Thumbs.db"):
        (folder / "helmet" / name).touch()
    assert count_reasons(list_photographs(folder, LABELS).rejections) == "2 other_file, 1 system_file"

"""A fingerprint changes with names and contents, and with nothing else; unchanged files are not read again."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pipeline.data import file_fingerprint
from pipeline.data.file_fingerprint import Fingerprint, Fingerprints, HashCache, NamedPath, fingerprint
from pipeline.data.storage import read_json

OLD = 1_600_000_000_000_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "photos"
    for name in ("helmet/1.jpg", "no_helmet/2.jpg"):
        (path / name).parent.mkdir(parents=True)
        (path / name).write_text(name, encoding="utf-8")
    return path


def take(path: Path, *, is_photographs: bool = True) -> Fingerprint:
    found = fingerprint(NamedPath("dataset.folder", path, is_photographs), HashCache(Path("unused"), {}))
    assert found is not None
    return found


def test_a_fingerprint_counts_files_and_their_sizes(folder: Path) -> None:
    assert (take(folder).files, take(folder).size_bytes) == (2, len("helmet/1.jpg") + len("no_helmet/2.jpg"))


def test_it_changes_with_a_file_that_is_added_renamed_moved_overwritten_or_deleted(folder: Path) -> None:
    first, found = folder / "helmet/1.jpg", [take(folder).sha256]
    (folder / "helmet/3.jpg").write_bytes(b"")
    found.append(take(folder).sha256)
    (folder / "helmet/3.jpg").rename(folder / "helmet/4.jpg")
    found.append(take(folder).sha256)
    (folder / "helmet/4.jpg").rename(folder / "no_helmet/4.jpg")
    found.append(take(folder).sha256)
    first.write_text("HELMET/1.jpg", encoding="utf-8")
    found.append(take(folder).sha256)
    first.unlink()
    found.append(take(folder).sha256)
    assert len(set(found)) == len(found)


def test_times_and_files_that_an_operating_system_leaves_change_nothing(folder: Path) -> None:
    before = take(folder)
    for name in (".DS_Store", "._1.jpg", "Thumbs.db", ".hidden/1.jpg"):
        (folder / "helmet" / name).parent.mkdir(exist_ok=True)
        (folder / "helmet" / name).write_bytes(b"x")
    os.utime(folder / "helmet/1.jpg", ns=(OLD, OLD))
    assert take(folder) == before


def test_the_place_of_a_folder_changes_its_path_and_not_its_hash(folder: Path, tmp_path: Path) -> None:
    before = take(folder)
    folder.rename(tmp_path / "moved")
    assert take(tmp_path / "moved").sha256 == before.sha256


def test_a_single_file_has_a_fingerprint_of_its_contents(tmp_path: Path) -> None:
    path, found = tmp_path / "weights.safetensors", []
    for contents in (b"a", b"b"):
        path.write_bytes(contents)
        found.append(take(path).sha256)
    assert found[0] != found[1]


def test_links_to_folders_are_followed_in_models_only_and_a_circle_ends(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/1.bin").write_bytes(b"1")
    (folder / "unet").symlink_to(tmp_path / "outside")
    (folder / "helmet/loop").symlink_to(folder)
    photographs, model = take(folder), take(folder, is_photographs=False)
    (tmp_path / "outside/1.bin").write_bytes(b"2")
    assert take(folder) == photographs, "photographs behind a link to a folder are not read"
    assert take(folder, is_photographs=False) != model


def test_links_that_are_broken_pipes_and_odd_names_are_no_error(folder: Path) -> None:
    (folder / "helmet/gone.jpg").symlink_to("nowhere")
    os.mkfifo(folder / "helmet/pipe.jpg")
    Path(os.fsdecode(os.fsencode(folder / "helmet") + b"/caf\xe9\n.jpg")).write_bytes(b"x")
    before = take(folder)
    assert before.files == 5
    (folder / "helmet/gone.jpg").unlink()
    assert take(folder) != before


@pytest.mark.parametrize("name", ["missing", "x" * 5000, "missing/deeper"])
def test_nothing_has_no_fingerprint(tmp_path: Path, name: str) -> None:
    assert fingerprint(NamedPath("key", tmp_path / name), HashCache(Path("unused"), {})) is None


def test_a_file_is_read_again_only_where_it_changed_even_if_its_size_and_time_are_the_old_ones(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_fingerprint, "SETTLED_NS", -3_600_000_000_000)
    read: list[str] = []

    def run() -> list[str]:
        read.clear()
        cache = HashCache.open(tmp_path / "hashes.json")
        fingerprint(NamedPath("key", folder), cache)
        cache.save()
        return list(read)

    def counted(path: Path) -> str:
        read.append(path.name)
        return path.read_text(encoding="utf-8")

    monkeypatch.setattr(file_fingerprint, "sha256_of", counted)
    assert sorted(run()) == ["1.jpg", "2.jpg"]
    assert run() == []
    times = (folder / "helmet/1.jpg").stat()
    (folder / "helmet/1.jpg").write_text("HELMET/1.jpg", encoding="utf-8")
    os.utime(folder / "helmet/1.jpg", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert run() == ["1.jpg"]


def test_a_file_that_changed_a_moment_ago_is_read_again(folder: Path, tmp_path: Path) -> None:
    cache = HashCache.open(tmp_path / "hashes.json")
    fingerprint(NamedPath("key", folder), cache)
    assert cache.found == {}


@pytest.mark.parametrize("text", ["", "[1, 2]", "{", '{"a": 1}', '{"a": [[1, 2], "x"]}', '{"a": {}}', "\x00"])
def test_damaged_hashes_are_computed_again(tmp_path: Path, text: str) -> None:
    (tmp_path / "hashes.json").write_text(text, encoding="utf-8")
    assert HashCache.open(tmp_path / "hashes.json").known == {}


def test_what_is_missing_keeps_its_fingerprint_until_another_path_is_named(folder: Path, tmp_path: Path) -> None:
    out, cache = tmp_path / "external/generate.json", HashCache(Path("unused"), {})
    named = NamedPath("dataset.folder", folder, is_photographs=True)
    assert file_fingerprint.update_fingerprints(out, [named], cache) == []
    first = out.read_bytes()
    folder.rename(tmp_path / "away")
    assert file_fingerprint.update_fingerprints(out, [named], cache) == [named]
    assert out.read_bytes() == first
    other = NamedPath("dataset.folder", tmp_path / "other")
    assert file_fingerprint.update_fingerprints(out, [other], cache) == []
    assert read_json(out, Fingerprints).read == ()


def test_fingerprints_that_did_not_change_are_not_written_again(folder: Path, tmp_path: Path) -> None:
    out, cache = tmp_path / "generate.json", HashCache(Path("unused"), {})
    file_fingerprint.update_fingerprints(out, [NamedPath("key", folder)], cache)
    inode = out.stat().st_ino
    file_fingerprint.update_fingerprints(out, [NamedPath("key", folder)], cache)
    assert out.stat().st_ino == inode
    out.write_text("damaged", encoding="utf-8")
    file_fingerprint.update_fingerprints(out, [NamedPath("key", folder)], cache)
    assert json.loads(out.read_bytes())["read"][0]["files"] == 2

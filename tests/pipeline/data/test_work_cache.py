"""Work areas: entries are complete or absent, and the key covers everything they depend on."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pipeline.data import work_cache
from pipeline.data.records import Prompt
from pipeline.data.work_cache import SUMS, WorkCache, link, open_work, work_key

CHANGES: tuple[Callable[[bytes], bytes], ...] = (
    lambda data: data[: len(data) // 2],
    lambda data: bytes([data[0] ^ 1]) + data[1:],
    lambda data: data + data,
    lambda _: b"",
)
MODULES = ("pipeline.data.preprocess",)
PROMPT = Prompt(id="a", group="g", label="helmet", text="a rider", seed=1, factors={})


@dataclass(frozen=True)
class Facts:
    """A dataclass among the inputs."""

    name: str


@pytest.fixture
def cache(tmp_path: Path) -> WorkCache:
    return open_work(tmp_path / "out.work", "key")


def test_entries_are_found_when_the_area_is_opened_again(cache: WorkCache) -> None:
    with cache.write("rows.npy") as file:
        assert not cache.has("rows.npy")
        file.write(b"rows")
    with cache.write_folder("shard") as folder:
        (folder / "tar").write_bytes(b"images")
        assert not cache.has("shard")
    again = open_work(cache.folder.parent, "key")
    assert again.path("rows.npy").read_bytes() == b"rows"
    assert (again.path("shard") / "tar").read_bytes() == b"images"


def test_a_failed_write_leaves_the_earlier_entry(cache: WorkCache) -> None:
    def write_half() -> None:
        with cache.write("state") as file:
            file.write(b"epo")
            raise ValueError("no luck")

    with cache.write("state") as file:
        file.write(b"epoch 1")
    with pytest.raises(ValueError, match="no luck"):
        write_half()
    assert cache.path("state").read_bytes() == b"epoch 1"
    assert visible(cache) == ["state"]
    assert cache.has("state")


def visible(cache: WorkCache) -> list[str]:
    return sorted(path.name for path in cache.folder.iterdir() if path.name != SUMS)


def _die_while_writing(cache: WorkCache) -> None:
    with cache.write("state") as file:
        file.write(b"half")
        file.flush()
        os._exit(9)


def _die_before_the_rename(cache: WorkCache) -> None:
    Path.replace = lambda *_: os._exit(9)  # type: ignore[assignment, method-assign]
    with cache.write("state") as file:
        file.write(b"whole")


def _die_while_filling_a_folder(cache: WorkCache) -> None:
    with cache.write_folder("shard") as folder:
        (folder / "tar").write_bytes(b"half")
        os._exit(9)


def _die_before_the_folder_is_renamed(cache: WorkCache) -> None:
    Path.rename = lambda *_: os._exit(9)  # type: ignore[assignment, method-assign]
    with cache.write_folder("shard") as folder:
        (folder / "tar").write_bytes(b"whole")


@pytest.mark.parametrize(
    "task", [_die_while_writing, _die_before_the_rename, _die_while_filling_a_folder, _die_before_the_folder_is_renamed]
)
def test_a_killed_process_leaves_no_incomplete_entry_and_its_scratch_is_removed(
    cache: WorkCache, task: Callable[[WorkCache], None]
) -> None:
    process = multiprocessing.get_context("spawn").Process(target=task, args=(cache,))
    process.start()
    process.join()
    assert process.exitcode == 9
    assert not cache.has("state")
    assert not cache.has("shard")
    assert len(visible(cache)) == 1, "scratch"
    open_work(cache.folder.parent, "key")
    assert visible(cache) == []


def test_a_process_killed_while_it_replaces_an_entry_leaves_the_earlier_one(cache: WorkCache) -> None:
    with cache.write("state") as file:
        file.write(b"epoch 1")
    process = multiprocessing.get_context("spawn").Process(target=_die_before_the_rename, args=(cache,))
    process.start()
    process.join()
    assert process.exitcode == 9
    assert open_work(cache.folder.parent, "key").has("state")
    assert cache.path("state").read_bytes() == b"epoch 1"


@pytest.mark.parametrize("change", CHANGES)
def test_an_entry_that_is_not_as_it_was_written_is_removed_and_reported(
    change: Callable[[bytes], bytes], cache: WorkCache, capsys: pytest.CaptureFixture[str]
) -> None:
    with cache.write("rows.npy") as file:
        file.write(b"rows")
    with cache.write_folder("shard") as folder:
        (folder / "tar").write_bytes(b"images")
    for path in (cache.path("rows.npy"), cache.path("shard") / "tar"):
        path.write_bytes(change(path.read_bytes()))
    assert not cache.has("rows.npy")
    assert cache.names() == []
    assert visible(cache) == []
    printed = capsys.readouterr().err
    for name in ("rows.npy", "shard"):
        assert f"{cache.path(name)}: not as it was written; it is made again" in printed


def test_an_entry_without_its_hash_or_with_that_of_another_is_not_used(cache: WorkCache) -> None:
    for name in ("a", "b"):
        with cache.write(name) as file:
            file.write(name.encode())
    (cache.folder / SUMS / "a").unlink()
    cache.path("b").write_bytes(b"a")
    assert not cache.has("a")
    assert not cache.has("b")


def test_a_folder_that_gains_or_loses_a_file_is_not_used(cache: WorkCache) -> None:
    for name in ("gains", "loses"):
        with cache.write_folder(name) as folder:
            (folder / "tar").write_bytes(b"images")
    (cache.path("gains") / "more").touch()
    (cache.path("loses") / "tar").unlink()
    assert cache.names() == []


def test_files_and_folders_get_a_second_name_or_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "package" / "data").mkdir(parents=True)
    (tmp_path / "package" / "data" / "weights").write_bytes(b"weights")
    link(tmp_path / "package", tmp_path / "linked")
    assert (tmp_path / "linked/data/weights").samefile(tmp_path / "package/data/weights")

    def refuse(*_: object) -> None:
        raise OSError("no hard links")

    monkeypatch.setattr(work_cache.os, "link", refuse)
    link(tmp_path / "package", tmp_path / "copied")
    assert (tmp_path / "copied/data/weights").read_bytes() == b"weights"


def test_the_scratch_of_a_running_process_is_not_removed(cache: WorkCache) -> None:
    with cache.write("state") as file:
        open_work(cache.folder.parent, "key")
        file.write(b"whole")
    assert cache.path("state").read_bytes() == b"whole"


def test_a_new_key_removes_the_entries_of_other_keys_reports_it_and_leaves_all_else(
    cache: WorkCache, capsys: pytest.CaptureFixture[str]
) -> None:
    with cache.write("state") as file:
        file.write(b"old")
    root = cache.folder.parent
    (root / "notes.txt").touch()
    (root / "pictures").mkdir()
    (root / "0123456789abcdef0123456789abcdef").mkdir()
    assert capsys.readouterr().err == ""
    other = open_work(root, "other")
    assert sorted(path.name for path in root.iterdir()) == ["notes.txt", "other", "pictures"]
    assert not other.has("state")
    assert f"{root}: removed the work of an earlier run" in capsys.readouterr().err
    open_work(root, "other")
    assert capsys.readouterr().err == ""


def test_entries_are_removed_by_name_or_all_except_some(cache: WorkCache) -> None:
    for name in ("a", "b", "c"):
        with cache.write(name) as file:
            file.write(b"rows")
    cache.keep_only({"a", "c", "absent"})
    cache.remove("c")
    cache.remove("absent")
    assert visible(cache) == ["a"]
    assert [path.name for path in (cache.folder / SUMS).iterdir()] == ["a"]


def test_equal_inputs_give_equal_keys_and_different_ones_different_keys(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"weights")
    (tmp_path / "other").write_bytes(b"other weights")
    frames = np.zeros((2, 3), np.uint8)
    variants: list[object] = [
        {"rows": [PROMPT]},
        {"rows": [PROMPT, PROMPT]},
        {"rows": [PROMPT.model_copy(update={"seed": 2})]},
        {"rows": []},
        {"row": [PROMPT]},
        {"path": tmp_path / "weights"},
        {"path": tmp_path / "other"},
        {"path": tmp_path / "gone"},
        {"frames": frames},
        {"frames": frames + 1},
        {"frames": frames.reshape(3, 2)},
        {"frames": frames.astype(np.int8)},
        {"names": ["ab", "c"]},
        {"names": ["a", "bc"]},
        {"names": "abc"},
        {"facts": Facts("a")},
        {"facts": Facts("b")},
        {"set": {"a", "b"}},
        {"set": {"a", "c"}},
        {"number": 1, "flag": True, "nothing": None},
        {"number": 1.5, "flag": True, "nothing": None},
    ]
    keys = [work_key({"value": value}, MODULES) for value in variants]
    assert len(set(keys)) == len(variants)
    assert keys == [work_key({"value": value}, MODULES) for value in variants]
    assert work_key({"a": 1, "b": 2}, MODULES) == work_key({"b": 2, "a": 1}, MODULES)


def test_an_input_that_cannot_be_hashed_is_an_error() -> None:
    with pytest.raises(TypeError, match="work_key: object; expected"):
        work_key({"value": object()}, MODULES)


def test_code_and_versions_are_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = work_key({}, MODULES)
    assert work_key({}, ("pipeline.data.shards",)) != plain
    assert work_key({}, MODULES, ("numpy",)) != plain
    before = work_key({}, MODULES, ("numpy",))
    monkeypatch.setattr(work_cache.importlib.metadata, "version", lambda _: "9.9")
    assert work_key({}, MODULES, ("numpy",)) != before
    monkeypatch.undo()
    assert work_key({}, MODULES, ("no-such-package",)) not in (plain, before)

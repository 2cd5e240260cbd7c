"""Temporary files and folders lie outside of what DVC hashes, and what killed processes left is removed."""

from __future__ import annotations

import errno
import multiprocessing
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from pipeline.data import scratch
from pipeline.data.scratch import SCRATCH, place_of, remove_stale_scratch, scratch_file, scratch_folder
from pipeline.data.storage import atomic_folder, atomic_write


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "dvc.yaml").touch()
    return tmp_path


def entries(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def _die_in_a_file(path: Path) -> None:
    with atomic_write(path) as file:
        file.write(b"half")
        file.flush()
        os._exit(9)


def _die_in_a_folder(path: Path) -> None:
    with atomic_folder(path) as folder:
        (folder / "model.onnx").write_bytes(b"half")
        os._exit(9)


def kill(task: Callable[[Path], None], path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=task, args=(path,))
    process.start()
    process.join()
    assert process.exitcode == 9


@pytest.mark.parametrize("task", [_die_in_a_file, _die_in_a_folder])
def test_a_killed_process_leaves_nothing_in_a_dependency_and_the_next_one_removes_its_scratch(
    task: Callable[[Path], None], repository: Path
) -> None:
    kill(task, repository / "artifacts" / "onnx")
    assert list((repository / "artifacts").iterdir()) == []
    left = list((repository / SCRATCH).iterdir())
    assert len(left) == 1
    scratch._tidy_once.cache_clear()
    with atomic_write(repository / "metrics" / "measure.json") as file:
        file.write(b"{}")
    assert entries(repository / SCRATCH) == []


def test_what_earlier_versions_left_beside_a_file_or_folder_is_removed_and_nothing_else(repository: Path) -> None:
    (repository / "artifacts" / ".onnx.123.ab_d3f7h" / "onnx").mkdir(parents=True)
    others = (".onnx.123.backup", ".tflite.123.ab_d3f7h", ".gitignore", "onnx.123.ab_d3f7h")
    for name in others:
        (repository / "artifacts" / name).touch()
    with atomic_folder(repository / "artifacts" / "onnx"):
        pass
    assert entries(repository / "artifacts") == sorted([*others, "onnx"])


@pytest.mark.parametrize("claim", [scratch_file, scratch_folder])
def test_what_a_running_process_writes_stays_and_what_it_left_is_removed(
    claim: Callable[[Path], AbstractContextManager[object]], tmp_path: Path
) -> None:
    (tmp_path / f".left.{os.getpid()}.0123abcd").mkdir()
    (tmp_path / ".keep").touch()
    (tmp_path / ".fifo.123.0123abcd").symlink_to(tmp_path / ".keep")
    with claim(tmp_path / "out"):
        remove_stale_scratch(tmp_path)
        assert any(path.name.startswith(".out.") for path in tmp_path.iterdir())
    assert entries(tmp_path) == [".fifo.123.0123abcd", ".keep"]


def test_scratch_lies_at_the_root_of_the_repository_or_beside_the_path(repository: Path) -> None:
    assert place_of(repository / "artifacts" / "onnx") == repository / SCRATCH
    assert place_of(repository / "data" / "images.work" / "key" / "shard") == repository / "data/images.work/key"
    (repository / "dvc.yaml").unlink()
    assert place_of(repository / "artifacts" / "onnx") == repository / "artifacts"


def test_git_and_dvc_ignore_the_scratch(root: Path) -> None:
    assert "*.work/" in (root / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert "*.work" in (root / ".dvcignore").read_text(encoding="utf-8").splitlines()
    assert Path(SCRATCH).suffix == ".work"


def test_between_file_systems_the_file_or_folder_is_copied_and_appears_whole(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, replace = Path.rename, Path.replace

    def between(move: Callable[[Path, Path], Path]) -> Callable[[Path, Path], Path]:
        def refuse(source: Path, target: Path) -> Path:
            if SCRATCH in source.parts:
                raise OSError(errno.EXDEV, "Invalid cross-device link")
            return move(source, target)

        return refuse

    monkeypatch.setattr(Path, "rename", between(rename))
    monkeypatch.setattr(Path, "replace", between(replace))
    with atomic_write(repository / "out" / "file") as file:
        file.write(b"whole")
    with atomic_folder(repository / "out" / "folder") as folder:
        (folder / "file").write_bytes(b"whole")
    assert entries(repository / "out") == ["file", "folder", "folder/file"]
    assert (repository / "out" / "file").read_bytes() == b"whole"
    assert entries(repository / SCRATCH) == []


def test_another_error_of_a_rename_is_raised(repository: Path) -> None:
    (repository / "out").mkdir()
    (repository / "out" / "file").touch()

    def write() -> None:
        with atomic_write(repository / "out") as file:
            file.write(b"whole")

    with pytest.raises(OSError, match="directory"):
        write()
    assert entries(repository / SCRATCH) == []


def test_on_a_file_system_without_locks_nothing_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(scratch.fcntl, "flock", refuse)
    (tmp_path / ".out.123.0123abcd").touch()
    remove_stale_scratch(tmp_path)
    with atomic_write(tmp_path / "out") as file:
        file.write(b"whole")
    assert entries(tmp_path) == [".out.123.0123abcd", "out"]

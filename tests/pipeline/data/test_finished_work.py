"""The work area of a finished stage stays until its output is complete and DVC knows it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.data.finished_work import clear_finished_work, mark_finished, remove_outputs, work_area
from pipeline.data.work_cache import open_work

STAGES = """
stages:
  generate:
    cmd: "true"
    outs:
    - data/images
"""


def finish(folder: Path) -> Path:
    """Write an output with a work area, as a stage does; returns the work area."""
    out = folder / "data" / "images"
    out.mkdir(parents=True, exist_ok=True)
    (out / "shard").write_bytes(b"images")
    cache = open_work(work_area(out), "key")
    with cache.write("shard") as file:
        file.write(b"images")
    mark_finished(cache, out)
    return work_area(out)


def test_the_work_area_of_a_complete_output_is_removed(tmp_path: Path) -> None:
    root = finish(tmp_path)
    clear_finished_work(tmp_path)
    assert not root.exists()
    assert (tmp_path / "data/images/shard").is_file()


@pytest.mark.parametrize("change", ["missing", "another", "more"])
def test_the_work_area_of_an_output_that_is_not_complete_stays(change: str, tmp_path: Path) -> None:
    root = finish(tmp_path)
    shard = tmp_path / "data/images/shard"
    if change == "missing":
        shard.unlink()
        shard.parent.rmdir()
    elif change == "another":
        shard.write_bytes(b"other images")
    else:
        shard.with_name("more").touch()
    clear_finished_work(tmp_path)
    assert (root / "key" / "shard").is_file()


def test_the_work_area_of_an_unfinished_stage_stays(tmp_path: Path) -> None:
    cache = open_work(tmp_path / "data/images.work", "key")
    with cache.write("shard") as file:
        file.write(b"images")
    (tmp_path / "data/images").mkdir()
    clear_finished_work(tmp_path)
    assert cache.has("shard")


@pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # DVC's own use of pygtrie
def test_in_a_dvc_repository_the_work_area_stays_until_dvc_lock_names_the_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "dvc-site"))
    folder = tmp_path / "repository"
    folder.mkdir()

    def dvc(*arguments: str) -> None:
        subprocess.run([sys.executable, "-m", "dvc", *arguments, "--quiet"], cwd=folder, check=True)

    dvc("init", "--no-scm")
    (folder / "dvc.yaml").write_text(STAGES, encoding="utf-8")
    root = finish(folder)
    clear_finished_work(folder)
    assert root.exists(), "DVC deletes the output at its next start"
    dvc("commit", "--force")
    clear_finished_work(folder)
    assert not root.exists()


@pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # DVC's own use of pygtrie
def test_outputs_that_dvc_restores_are_removed_and_whatever_somebody_changed_or_added_stays_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "dvc-site"))
    folder = tmp_path / "repository"
    names = ("data/images", "data/selfies", "models/checkpoint", "artifacts/onnx", "report/run.json")
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name, encoding="utf-8")
    (folder / "data/selfies").unlink()
    (folder / "data/selfies").mkdir()
    (folder / "data/selfies/shard").touch()
    outs = "".join(f"    - {name}\n" for name in names[:-1])
    stage = f'stages:\n  all:\n    cmd: "true"\n    outs:\n{outs}    - {names[-1]}:\n        cache: false\n'
    (folder / "dvc.yaml").write_text(stage, encoding="utf-8")
    for command in (("init", "--no-scm"), ("commit", "--force")):
        subprocess.run([sys.executable, "-m", "dvc", *command, "--quiet"], cwd=folder, check=True)
    for name in ("models/mine.safetensors", "data/selfies/notes.txt", "report/index.html", "report/mine.html"):
        (folder / name).write_text("mine", encoding="utf-8")
    (folder / "artifacts/onnx").write_text("another", encoding="utf-8")
    open_work(folder / "data/images.work", "0" * 32)
    (folder / "mine.work").mkdir()
    (folder / "mine.work/notes.txt").touch()
    removal = remove_outputs(folder, ("report/run.json", "report/index.html"))
    assert removal.removed == ["data/images", "models/checkpoint", "report/run.json", "data/images.work"]
    assert removal.kept == dict.fromkeys(("data/selfies", "artifacts/onnx"), "not as dvc.lock records it")
    stayed = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    expected = {"models/mine.safetensors", "data/selfies/notes.txt", "report/mine.html", "mine.work/notes.txt"}
    assert {name for name in stayed if not name.startswith((".dvc", "dvc."))} == {
        *expected,
        "data/selfies/shard",
        "artifacts/onnx",
    }
    shutil.rmtree(folder / ".dvc/cache")
    (folder / "artifacts/onnx").write_text("artifacts/onnx", encoding="utf-8")
    assert "not in DVC's cache" in remove_outputs(folder).kept["artifacts/onnx"]

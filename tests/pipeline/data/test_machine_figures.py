"""metrics/machine.json: one section per stage, merged under a lock; a damaged file is no error."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from pipeline.data.machine_figures import MACHINE_JSON, find_figure, read_machine_figures, record_machine_figures


def test_a_stage_replaces_its_own_section_and_keeps_the_others(tmp_path: Path) -> None:
    path = tmp_path / "metrics" / MACHINE_JSON
    record_machine_figures(path, "train", {"seconds": 3.5, "images_per_second": 40.0})
    record_machine_figures(path, "convert-onnx", {"float32": {"seconds": 1.0}})
    record_machine_figures(path, "train", {"seconds": 2.5})
    assert read_machine_figures(path) == {"train": {"seconds": 2.5}, "convert-onnx": {"float32": {"seconds": 1.0}}}


def test_a_missing_file_reads_as_no_figures(tmp_path: Path) -> None:
    assert read_machine_figures(tmp_path / MACHINE_JSON) == {}


@pytest.mark.parametrize("damaged", [b'{"train": {"sec', b"[1, 2]", b'{"train": 3}', b"\xff\xfe\x00"])
def test_a_damaged_file_is_replaced_with_a_warning(
    damaged: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / MACHINE_JSON
    path.write_bytes(damaged)
    record_machine_figures(path, "prompts", {"seconds": 0.2})
    assert read_machine_figures(path) == {"prompts": {"seconds": 0.2}}
    assert f"{path}: not " in capsys.readouterr().err


def test_stages_that_write_at_once_lose_no_section(tmp_path: Path) -> None:
    path = tmp_path / MACHINE_JSON
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_record_many, args=(path, name)) for name in ("coreml", "onnx")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert len(read_machine_figures(path)) == 40


def _record_many(path: Path, name: str) -> None:
    for number in range(20):
        record_machine_figures(path, f"convert-{name}-{number}", {"seconds": number})


def test_a_figure_is_found_by_its_names_and_none_where_it_was_not_measured() -> None:
    figures = {"generate": {"images_per_second": None, "seconds": 2}, "convert-onnx": {"float32": {"seconds": 1.0}}}
    assert find_figure(figures, "convert-onnx", "float32", "seconds") == 1.0
    assert find_figure(figures, "generate", "seconds") == 2
    assert find_figure(figures, "generate", "images_per_second") is None
    assert find_figure(figures, "generate", "seconds", "mean") is None
    assert find_figure(figures, "train") is None


def test_the_file_is_ignored_by_git_and_declared_by_no_dvc_stage(root: Path) -> None:
    assert f"/metrics/{MACHINE_JSON}" in (root / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert MACHINE_JSON not in (root / "dvc.yaml").read_text(encoding="utf-8")


def test_tracked_metrics_have_no_figures_of_the_machine(root: Path) -> None:
    """DVC hashes these files: a duration in them would make every run a change."""
    machine = {"seconds", "images_per_second", "peak_rss_bytes"}
    for stage in ("prompts", "generate", "curate", "train", "convert-coreml", "convert-tflite", "convert-onnx"):
        path = root / "metrics" / f"{stage}.json"
        if path.is_file():
            names = _names(json.loads(path.read_bytes()))
            assert not names & machine, path
            assert not any(name.endswith("_ms") for name in names), path


def _names(value: object) -> set[str]:
    if not isinstance(value, dict):
        return set()
    return set(value).union(*(_names(inner) for inner in value.values()))

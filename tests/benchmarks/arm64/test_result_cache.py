"""Cached results of a lab, and what must not share an entry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.arm64 import result_cache
from benchmarks.arm64.result_cache import entry_name, open_results
from pipeline.errors import ModelError

FRAMES = np.zeros((2, 4, 3, 3), np.uint8)


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    path.write_bytes(b"weights")
    return path


def test_a_count_is_measured_once(tmp_path: Path) -> None:
    results, calls = open_results(tmp_path / "cache", "lab"), []
    measure = lambda: calls.append(1) or 42  # noqa: E731
    assert [results.count("name", measure), results.count("name", measure)] == [42, 42]
    assert len(calls) == 1


def test_probabilities_are_computed_once_and_come_back_bit_by_bit(tmp_path: Path) -> None:
    results, calls = open_results(tmp_path / "cache", "lab"), []
    rows = np.random.default_rng(1).random((5, 2)).astype(np.float32)
    predict = lambda: calls.append(1) or rows  # noqa: E731
    first, second = results.probabilities("name", predict), results.probabilities("name", predict)
    assert first.tobytes() == second.tobytes() == rows.tobytes()
    assert len(calls) == 1


@pytest.mark.parametrize("damage", [b"", b"{", b"\x93NUMPY", b'"many"'])
def test_a_damaged_entry_is_measured_again(tmp_path: Path, damage: bytes) -> None:
    results = open_results(tmp_path / "cache", "lab")
    for suffix in ("json", "npy"):
        results.work.path(f"name.{suffix}").write_bytes(damage)
    assert results.count("name", lambda: 7) == 7
    assert results.probabilities("name", lambda: np.ones((1, 2), np.float32)).tolist() == [[1, 1]]
    assert results.count("name", lambda: 8) == 7, "and is whole then"


def test_every_part_of_a_request_is_in_the_name_of_its_entry(tmp_path: Path, artifact: Path) -> None:
    same = entry_name(artifact, FRAMES, "answers", "onnx", "cortex-a76")
    assert entry_name(artifact, FRAMES.copy(), "answers", "onnx", "cortex-a76") == same
    moved = tmp_path / "moved"
    moved.write_bytes(artifact.read_bytes())
    assert entry_name(moved, FRAMES, "answers", "onnx", "cortex-a76") == same
    other = tmp_path / "other"
    other.write_bytes(b"other weights")
    names = {
        same,
        entry_name(other, FRAMES, "answers", "onnx", "cortex-a76"),
        entry_name(artifact, FRAMES + np.uint8(1), "answers", "onnx", "cortex-a76"),
        entry_name(artifact, FRAMES.reshape(4, 2, 3, 3), "answers", "onnx", "cortex-a76"),
        entry_name(artifact, FRAMES, "answers", "onnx", "cortex-a53"),
        entry_name(artifact, FRAMES, "instructions", "onnx", "cortex-a76"),
    }
    assert len(names) == 6


def test_results_of_another_lab_or_another_guest_script_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_results(tmp_path / "cache", "lab").count("name", lambda: 1) == 1
    assert open_results(tmp_path / "cache", "lab").count("name", lambda: 2) == 1
    assert open_results(tmp_path / "cache", "another lab").count("name", lambda: 3) == 3
    script = tmp_path / "guest_script.py"
    script.write_text("# another", encoding="utf-8")
    monkeypatch.setattr(result_cache.guest_script, "__file__", str(script))
    assert open_results(tmp_path / "cache", "another lab").count("name", lambda: 4) == 4
    assert open_results(tmp_path / "cache", "another lab", [script]).count("name", lambda: 5) == 5


def test_a_missing_artifact_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="gone: missing"):
        entry_name(tmp_path / "gone", FRAMES)

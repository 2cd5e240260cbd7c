"""What a lab remembers, and what it must not take for the same question."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.arm64.result_cache import Kept
from pipeline.errors import ModelError

FRAMES = np.zeros((2, 4, 3, 3), np.uint8)


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    path.write_bytes(b"weights")
    return path


def test_a_count_is_made_once(tmp_path: Path) -> None:
    kept, asked = Kept(tmp_path / "kept", "lab"), []
    finder = lambda: asked.append(1) or 42  # noqa: E731
    assert [kept.number("key", finder), kept.number("key", finder)] == [42, 42]
    assert len(asked) == 1


def test_answers_are_given_once_and_come_back_bit_by_bit(tmp_path: Path) -> None:
    kept, asked = Kept(tmp_path / "kept", "lab"), []
    rows = np.random.default_rng(1).random((5, 2)).astype(np.float32)
    finder = lambda: asked.append(1) or rows  # noqa: E731
    first, second = kept.rows("key", finder), kept.rows("key", finder)
    assert first.tobytes() == second.tobytes() == rows.tobytes()
    assert len(asked) == 1


@pytest.mark.parametrize("damage", [b"", b"{", b"\x93NUMPY", b'"many"'])
def test_a_damaged_memory_is_measured_again(tmp_path: Path, damage: bytes) -> None:
    kept = Kept(tmp_path, "lab")
    for suffix in ("json", "npy"):
        (tmp_path / f"key.{suffix}").write_bytes(damage)
    assert kept.number("key", lambda: 7) == 7
    assert kept.rows("key", lambda: np.ones((1, 2), np.float32)).tolist() == [[1, 1]]
    assert kept.number("key", lambda: 8) == 7, "and is whole then"


def test_every_part_of_a_question_is_in_its_key(tmp_path: Path, artifact: Path) -> None:
    kept = Kept(tmp_path, "lab")
    same = kept.key(artifact, FRAMES, "answers", "onnx", "cortex-a76")
    assert kept.key(artifact, FRAMES.copy(), "answers", "onnx", "cortex-a76") == same
    other = tmp_path / "other"
    other.write_bytes(b"other weights")
    brighter = FRAMES + np.uint8(1)
    keys = {
        same,
        Kept(tmp_path, "another lab").key(artifact, FRAMES, "answers", "onnx", "cortex-a76"),
        kept.key(other, FRAMES, "answers", "onnx", "cortex-a76"),
        kept.key(artifact, brighter, "answers", "onnx", "cortex-a76"),
        kept.key(artifact, FRAMES.reshape(4, 2, 3, 3), "answers", "onnx", "cortex-a76"),
        kept.key(artifact, FRAMES, "answers", "onnx", "cortex-a53"),
        kept.key(artifact, FRAMES, "instructions", "onnx", "cortex-a76"),
    }
    assert len(keys) == 7


def test_a_missing_artifact_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="gone: missing"):
        Kept(tmp_path, "lab").key(tmp_path / "gone", FRAMES)

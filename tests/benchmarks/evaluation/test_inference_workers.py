"""Asking artifacts: frames of any shape, reasons instead of answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.evaluation.inference_workers import Job, ask, collect, employ, submit
from pipeline.data.records import Artifact
from pipeline.errors import ModelError
from tests.benchmarks.small_task import artifact, brightness


@pytest.fixture
def job(tmp_path: Path) -> Job:
    frames = np.random.default_rng(1).integers(0, 256, (3, 4, 8, 6, 3), np.uint8)
    np.save(tmp_path / "frames.npy", frames)
    return Job(tmp_path / "model", artifact("onnx", "float32"), 1, tmp_path / "frames.npy")


def by_brightness(_path: Path, _artifact: Artifact, _threads: int) -> object:
    return brightness


def torn(path: Path, _artifact: Artifact, _threads: int) -> object:
    raise ModelError(f"{path}: torn")


def vanish(_path: Path, _artifact: Artifact, _threads: int) -> object:
    import os

    os._exit(9)


def test_answers_have_the_shape_of_the_frames(job: Job) -> None:
    answers = ask(by_brightness, job)  # type: ignore[arg-type]
    assert isinstance(answers, np.ndarray)
    assert (answers.shape, answers.dtype) == ((3, 4, 2), np.float32)
    np.testing.assert_array_equal(answers[2, 1], brightness(np.load(job.frames)[2, 1]))


def test_a_part_of_the_frames_is_asked_alone(job: Job) -> None:
    some = Job(job.path, job.artifact, 1, job.frames, (slice(None), slice(2)))
    answers, whole = ask(by_brightness, some), ask(by_brightness, job)  # type: ignore[arg-type]
    np.testing.assert_array_equal(answers, np.asarray(whole)[:, :2])


def test_what_does_not_open_is_a_reason(job: Job) -> None:
    assert "torn" in str(ask(torn, job))  # type: ignore[arg-type]


def test_a_process_that_vanished_is_the_reason_of_what_comes_after_it_too(job: Job) -> None:
    with employ(1) as executor:
        first = collect(submit(executor, vanish, job))  # type: ignore[arg-type]
        second = collect(submit(executor, by_brightness, job))  # type: ignore[arg-type]
    assert "ended without an answer" in str(first)
    assert second == first

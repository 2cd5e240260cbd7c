"""Running artifacts in workers: frames of any shape, and reasons instead of predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.evaluation.inference_workers import Job, collect, predict, submit, worker_pool
from pipeline.data.records import Artifact
from pipeline.errors import ModelError, UnmeasurableError
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


def test_probabilities_have_the_shape_of_the_frames(job: Job) -> None:
    probabilities = predict(by_brightness, job)  # type: ignore[arg-type]
    assert isinstance(probabilities, np.ndarray)
    assert (probabilities.shape, probabilities.dtype) == ((3, 4, 2), np.float32)
    np.testing.assert_array_equal(probabilities[2, 1], brightness(np.load(job.frames)[2, 1]))


def test_only_the_indexed_part_of_the_frames_is_run(job: Job) -> None:
    some = Job(job.path, job.artifact, 1, job.frames, (slice(None), slice(2)))
    part, whole = predict(by_brightness, some), predict(by_brightness, job)  # type: ignore[arg-type]
    np.testing.assert_array_equal(part, np.asarray(whole)[:, :2])


def test_an_artifact_that_does_not_load_gives_a_reason(job: Job) -> None:
    assert "torn" in str(predict(torn, job))  # type: ignore[arg-type]


def test_after_a_worker_died_every_later_job_gets_the_same_reason(job: Job) -> None:
    with worker_pool(1) as executor:
        first = collect(submit(executor, vanish, job))  # type: ignore[arg-type]
        second = collect(submit(executor, by_brightness, job))  # type: ignore[arg-type]
    assert "ended without predictions" in str(first)
    assert second == first


def refuse_frames(_path: Path, _artifact: Artifact, _threads: int) -> object:
    def run(frame: object) -> object:
        raise UnmeasurableError(f"op pad with mode symmetric ({type(frame).__name__})")

    return run


def test_an_artifact_that_loads_and_cannot_run_gives_a_reason(job: Job) -> None:
    assert predict(refuse_frames, job) == "op pad with mode symmetric (ndarray)"  # type: ignore[arg-type]

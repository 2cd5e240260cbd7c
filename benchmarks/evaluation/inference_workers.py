"""Artifacts asked in processes of their own, several at once, beside what this process does.

Reads artifacts and files of frames; writes nothing. Nobody is timed here: what runs beside others is slow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.latency.single_artifact import Predict
from pipeline.data.records import Artifact
from pipeline.errors import GossamerError
from pipeline.machine.devices import torch_threads
from pipeline.machine.process_pool import open_pool

Open = Callable[[Path, Artifact, int], Predict]
Answers = NDArray[np.float32]
_ONE_THREAD = {"OMP_NUM_THREADS": "1"}
_ENDED = "the process that ran it, or another artifact beside it, ended without an answer: out of memory?"


@dataclass(frozen=True, slots=True)
class Job:
    """What one artifact is asked.

    Attributes:
        path: The model file or package.
        artifact: Its record.
        threads: For its runtime.
        frames: An .npy file, uint8 (..., height, width, 3).
        part: Of the frames, e.g. ``(slice(None), slice(4))``; all where it is empty.
    """

    path: Path
    artifact: Artifact
    threads: int
    frames: Path
    part: tuple[slice, ...] = ()


@contextmanager
def employ(workers: int) -> Iterator[Executor]:
    """Start processes, and leave torch one thread here; with no workers, a thread of this process does their work.

    Each has one thread an artifact: spinning threads beside others are far slower.
    """
    with torch_threads(1), open_pool(workers, _ONE_THREAD) if workers else ThreadPoolExecutor(1) as executor:
        yield executor


def submit(executor: Executor, opening: Open, job: Job) -> Future[Answers | str]:
    """Have one artifact asked; ``opening`` is a module's own function where there are processes."""
    try:
        return executor.submit(partial(ask, opening), job)
    except BrokenProcessPool:
        ended: Future[Answers | str] = Future()
        ended.set_result(_ENDED)
        return ended


def ask(opening: Open, job: Job) -> Answers | str:
    """Ask one artifact: probabilities, float32 (..., labels), or why it does not open."""
    frames = np.load(job.frames, mmap_mode="r")[job.part]
    try:
        predict = opening(job.path, job.artifact, job.threads)
    except GossamerError as error:
        return str(error)
    answers = [predict(np.array(frame)) for frame in frames.reshape(-1, *frames.shape[-3:])]
    return np.array(answers, np.float32).reshape(*frames.shape[:-3], -1)


def collect(future: Future[Answers | str]) -> Answers | str:
    """Wait for what a job gave; a process that ended without an answer is a reason, too."""
    try:
        return future.result()
    except BrokenProcessPool:
        return _ENDED

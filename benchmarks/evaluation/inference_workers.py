"""Runs artifacts in worker processes, several at once, while the parent process does other work.

Reads artifacts and files of frames; writes nothing. Nothing is timed here: processes side by side slow each other down.
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

OpenArtifact = Callable[[Path, Artifact, int], Predict]
"""(model file or package, its record, threads) -> the loaded artifact."""
Probabilities = NDArray[np.float32]
"""Probabilities, float32 (..., labels)."""
_ONE_THREAD = {"OMP_NUM_THREADS": "1"}
_ENDED = "the process that ran it, or another artifact beside it, ended without predictions: out of memory?"


@dataclass(frozen=True, slots=True)
class Job:
    """One artifact and the frames to run it on.

    Attributes:
        path: The model file or package.
        artifact: Its record.
        threads: Threads of its runtime.
        frames: An .npy file, uint8 (..., height, width, 3).
        part: Index into the frames, e.g. ``(slice(None), slice(4))``; empty: all frames.
    """

    path: Path
    artifact: Artifact
    threads: int
    frames: Path
    part: tuple[slice, ...] = ()


@contextmanager
def worker_pool(workers: int) -> Iterator[Executor]:
    """Start worker processes and limit torch to one thread here; with 0 workers, one thread of this process works.

    Each artifact runs on one thread: OpenMP threads that spin beside other processes slow all of them down.
    """
    with torch_threads(1), open_pool(workers, _ONE_THREAD) if workers else ThreadPoolExecutor(1) as executor:
        yield executor


def submit(executor: Executor, open_artifact: OpenArtifact, job: Job) -> Future[Probabilities | str]:
    """Run one artifact in the pool; with worker processes ``open_artifact`` must be a module-level function."""
    try:
        return executor.submit(partial(predict, open_artifact), job)
    except BrokenProcessPool:
        ended: Future[Probabilities | str] = Future()
        ended.set_result(_ENDED)
        return ended


def predict(open_artifact: OpenArtifact, job: Job) -> Probabilities | str:
    """Run one artifact on its frames: probabilities, or the reason why it does not load or run."""
    frames = np.load(job.frames, mmap_mode="r")[job.part]
    try:
        run = open_artifact(job.path, job.artifact, job.threads)
        outputs = [run(np.array(frame)) for frame in frames.reshape(-1, *frames.shape[-3:])]
    except GossamerError as error:
        return str(error)
    return np.array(outputs, np.float32).reshape(*frames.shape[:-3], -1)


def collect(future: Future[Probabilities | str]) -> Probabilities | str:
    """Wait for a job's result; a worker process that died is a reason, too."""
    try:
        return future.result()
    except BrokenProcessPool:
        return _ENDED

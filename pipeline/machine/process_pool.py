"""Runs jobs on this machine: in this process, or in several.

Workers are spawned, not forked (torch and its threads do not survive a fork), and leave Ctrl-C to the parent: it stops
handing out jobs and lets those under way finish, so that what they write is whole. They end with the parent, however
that ends: none is left with its memory when it is killed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from typing import TypeVar

J = TypeVar("J")
R = TypeVar("R")


def run_jobs(task: Callable[[J], R], jobs: Sequence[J], workers: int) -> Iterator[R]:
    """Yield ``task(job)`` of every job, as they finish.

    Args:
        task: A picklable function of one job.
        jobs: Picklable jobs.
        workers: Processes; with one, everything runs in this process.

    Raises:
        Exception: What a task raised; no further job is started.
    """
    if workers == 1 or len(jobs) < 2:
        yield from map(task, jobs)
        return
    with open_pool(min(workers, len(jobs))) as pool:
        for future in as_completed([pool.submit(task, job) for job in jobs]):
            yield future.result()


@contextmanager
def open_pool(workers: int, environment: Mapping[str, str] | None = None) -> Iterator[ProcessPoolExecutor]:
    """Start workers; on an error or Ctrl-C jobs that wait are dropped, those under way are waited for.

    Args:
        workers: Processes.
        environment: Variables that they have beside this process's own.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _settle, (dict(environment or {}),)) as pool:
        try:
            yield pool
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _settle(environment: Mapping[str, str]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(environment)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

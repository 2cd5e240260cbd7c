"""Runs jobs on this machine: in this process, or in several.

Workers are spawned, not forked (torch and its threads do not survive a fork), and leave Ctrl-C to the parent: it stops
handing out jobs and lets those under way finish, so that what they write is whole.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
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
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=context, initializer=_leave_interrupts) as pool:
        try:
            for future in as_completed([pool.submit(task, job) for job in jobs]):
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _leave_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)

"""Runs jobs on this machine, in this process or in several worker processes.

Workers are spawned, not forked: torch and its threads do not survive a fork. After Ctrl-C the parent starts no further
jobs and the workers exit at once, in the middle of a job: what they write appears whole or not at all. After an error
the running jobs are waited for. Workers exit when the parent does, even if it is killed, and free their memory.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from typing import TypeVar

J = TypeVar("J")
R = TypeVar("R")


def run_jobs(task: Callable[[J], R], jobs: Sequence[J], workers: int) -> Iterator[R]:
    """Run ``task(job)`` for every job and yield the results in the order in which they finish.

    Args:
        task: A picklable function of one job.
        jobs: Picklable jobs.
        workers: Number of processes; with one worker or one job, everything runs in this process.

    Raises:
        Exception: The first exception that a task raised; no further job is started.
    """
    if workers == 1 or len(jobs) < 2:
        yield from map(task, jobs)
        return
    with open_pool(min(workers, len(jobs))) as pool:
        for future in as_completed([pool.submit(task, job) for job in jobs]):
            yield future.result()


@contextmanager
def open_pool(workers: int, environment: Mapping[str, str] | None = None) -> Iterator[ProcessPoolExecutor]:
    """Start worker processes; on an error waiting jobs are cancelled, on Ctrl-C running ones are stopped as well.

    Args:
        workers: Number of processes.
        environment: Environment variables of the workers, in addition to this process's.
    """
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    with ProcessPoolExecutor(workers, context, _initialise_worker, (dict(environment or {}), stop)) as pool:
        try:
            yield pool
        except (KeyboardInterrupt, GeneratorExit):  # the latter: Ctrl-C in the code that uses the results
            stop.set()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _initialise_worker(environment: Mapping[str, str], stop: Event) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(environment)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    threading.Thread(target=_exit_when_stopped, args=(stop,), daemon=True).start()


def _exit_when_stopped(stop: Event) -> None:
    stop.wait()
    os._exit(1)


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

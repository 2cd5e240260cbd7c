"""Jobs in one process and in several: all are done, errors reach the caller, and no worker survives the parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest

from pipeline.machine.process_pool import open_pool, run_jobs


def square(number: int) -> int:
    if number < 0:
        raise ValueError(f"negative: {number}")
    return number * number


def read_variable(name: str) -> str:
    return os.environ.get(name, "")


def write_pid_and_wait(file: Path) -> None:
    file.write_text(str(os.getpid()), encoding="utf-8")
    time.sleep(600)


@pytest.mark.parametrize("workers", [1, 2])
def test_every_job_is_done_once(workers: int) -> None:
    assert sorted(run_jobs(square, list(range(6)), workers)) == [0, 1, 4, 9, 16, 25]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_of_a_job_reaches_the_caller(workers: int) -> None:
    with pytest.raises(ValueError, match="negative: -1"):
        list(run_jobs(square, [-1, 2, 3], workers))


def test_environment_variables_are_set_in_workers_only() -> None:
    with open_pool(1, {"GOSSAMER_TEST": "7"}) as pool:
        assert pool.submit(read_variable, "GOSSAMER_TEST").result() == "7"
    assert "GOSSAMER_TEST" not in os.environ


def interrupt(waiting: list[Future[None]]) -> None:
    with open_pool(1) as pool:
        waiting += [pool.submit(time.sleep, 0.01) for _ in range(200)]
        raise KeyboardInterrupt


def test_an_interruption_cancels_waiting_jobs() -> None:
    waiting: list[Future[None]] = []
    with pytest.raises(KeyboardInterrupt):
        interrupt(waiting)
    assert sum(future.cancelled() for future in waiting) > 100


def wait_and_interrupt(file: Path) -> None:
    with open_pool(1) as pool:
        pool.submit(write_pid_and_wait, file)
        while not file.is_file():
            time.sleep(0.05)
        raise KeyboardInterrupt


def interrupt_between_results(file: Path) -> None:
    for _ in run_jobs(wait_unless_none, [None, file], 2):
        raise KeyboardInterrupt


def wait_unless_none(file: Path | None) -> None:
    if file is not None:
        write_pid_and_wait(file)


@pytest.mark.parametrize("run", [wait_and_interrupt, interrupt_between_results])
def test_an_interruption_stops_running_jobs_at_once(run: Callable[[Path], None], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "pid")  # the job itself takes ten minutes


def is_running(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return state.is_file() and state.read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="needs /proc")
def test_workers_exit_when_the_parent_is_killed(root: Path, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("first", "second")]
    code = (
        "import sys, pathlib\n"
        "from pipeline.machine.process_pool import run_jobs\n"
        "from tests.pipeline.machine.test_process_pool import write_pid_and_wait\n"
        "if __name__ == '__main__':\n"
        "    list(run_jobs(write_pid_and_wait, [pathlib.Path(name) for name in sys.argv[1:]], 2))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, *map(str, files)], cwd=root)
    deadline = time.monotonic() + 120
    while not all(file.is_file() and file.read_text(encoding="utf-8") for file in files):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    pids = [int(file.read_text(encoding="utf-8")) for file in files]
    assert all(map(is_running, pids))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    while any(map(is_running, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.05)

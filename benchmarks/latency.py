"""Load time, latency and memory of one artifact in its own runtime, each in a fresh process; timings -> percentiles.

``measure`` starts ``python -m benchmarks.latency REQUEST TIMING``; the child reads the request and a few frames, loads
the artifact through its format, runs it, and writes a ``Timing``. A fresh process, because memory that another runtime
has taken cannot be told apart, and because thread pools keep the settings they were born with.

What is timed: one frame at a time, uint8 pixels in and probabilities out, by ``time.perf_counter_ns`` around the call.
What ``peak_rss_bytes`` holds: everything the process ever had resident, Python and the runtime's libraries included;
``baseline_rss_bytes`` is what Python, NumPy and this harness had before the runtime was imported. On Linux both are
VmHWM of /proc/self/status: ``ru_maxrss`` starts from the parent's peak there, because it survives fork and exec.

Whether the runtime on this machine stands for the format (Core ML's does on a Mac only) is the format's to say: the
caller asks ``runtime().unmeasured`` first.
"""

from __future__ import annotations

import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import GossamerError, ModelError
from pipeline.records import Record, read_json, write_json

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
Load = Callable[[Path, int], Predict]
TIMEOUT_S = 600
_RELOADS = 3


class LatencyRequest(Record):
    """What a child process is to measure; ``frames`` is an .npy file, uint8 (n, height, width, 3) RGB."""

    format: str
    path: Path
    frames: Path
    threads: int
    warmup: int
    runs: int


class Timing(Record):
    """What it measured.

    Attributes:
        load_ms: Median of loading the artifact again, its runtime already imported.
        cold_load_ms: The first load, the import of the runtime included.
        first_inference_ms: The first frame after the first load.
        latency_p50_ms: Nearest-rank percentiles of single frames after the warm-up; p90 and p99 likewise.
        peak_rss_bytes: Most memory the process had resident up to the last timed frame.
        baseline_rss_bytes: The same before the runtime was imported.
    """

    load_ms: float
    cold_load_ms: float
    first_inference_ms: float
    latency_p50_ms: float
    latency_p90_ms: float
    latency_p99_ms: float
    latency_runs: int
    threads: int
    peak_rss_bytes: int
    baseline_rss_bytes: int


def percentile(timings: Sequence[float], percent: float) -> float:
    """Nearest-rank percentile: the smallest timing that at least ``percent`` per cent of all do not exceed.

    It is always one of the timings, never a mean of two. NaN for no timings.
    """
    if not timings:
        return math.nan
    rank = math.ceil(percent / 100 * len(timings))
    return sorted(timings)[max(rank, 1) - 1]


def measure(request: LatencyRequest) -> Timing:
    """Measure one artifact in a fresh process of its own.

    Raises:
        ModelError: The process could not load or run the artifact, or took longer than ``TIMEOUT_S``.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "request.json", Path(folder) / "timing.json"
        write_json(asked, request)
        command = [sys.executable, "-m", "benchmarks.latency", str(asked), str(answered)]
        try:
            done = subprocess.run(
                command, env=_environment(request.threads), capture_output=True, timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise ModelError(
                f"{request.path}: not measured within {TIMEOUT_S} s; measure.latency_runs: fewer?"
            ) from error
        if done.returncode != 0:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"exit {done.returncode}"]
            raise ModelError(f"{request.path}: cannot be run by {request.format}'s runtime: {last[0]}")
        return read_json(answered, Timing)


def take(request: LatencyRequest, load: Load) -> Timing:
    """Load and run an artifact in this process."""
    frames = np.load(request.frames)
    baseline = peak_rss_bytes()
    started = time.perf_counter_ns()
    predict = load(request.path, request.threads)
    cold_load = _ms_since(started)
    first = _timed(predict, frames[0])
    for i in range(request.warmup):
        predict(frames[i % len(frames)])
    timings = [_timed(predict, frames[i % len(frames)]) for i in range(request.runs)]
    peak = peak_rss_bytes()  # before the artifact is loaded again
    loads = []
    for _ in range(_RELOADS):
        started = time.perf_counter_ns()
        load(request.path, request.threads)
        loads.append(_ms_since(started))
    return Timing(
        load_ms=percentile(loads, 50),
        cold_load_ms=cold_load,
        first_inference_ms=first,
        latency_p50_ms=percentile(timings, 50),
        latency_p90_ms=percentile(timings, 90),
        latency_p99_ms=percentile(timings, 99),
        latency_runs=len(timings),
        threads=request.threads,
        peak_rss_bytes=peak,
        baseline_rss_bytes=baseline,
    )


def peak_rss_bytes() -> int:
    """Most memory this process ever had resident, in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage if sys.platform == "darwin" else usage * 1024


def main(arguments: Sequence[str]) -> int:
    """Be the child process: measure what the request names and write the timing."""
    from export.formats import open_format

    asked, answered = map(Path, arguments)
    request = read_json(asked, LatencyRequest)
    try:
        write_json(answered, take(request, open_format(request.format).load))
    except GossamerError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def _environment(threads: int) -> dict[str, str]:
    root = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    counts = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    return {**os.environ, **counts, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}


def _ms_since(started_ns: int) -> float:
    return (time.perf_counter_ns() - started_ns) / 1e6


def _timed(predict: Predict, frame: NDArray[np.uint8]) -> float:
    started = time.perf_counter_ns()
    predict(frame)
    return _ms_since(started)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

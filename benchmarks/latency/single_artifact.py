"""Load time, latency and memory of one artifact in its own runtime, in a fresh process; timings -> percentiles.

``measure`` starts ``python -m benchmarks.latency.single_artifact REQUEST ANSWER``; the child reads the request and
frames, loads the artifact through its format, lets LoadGen run it (``benchmarks.latency.mlperf_loadgen``), and writes
a ``Timing``.

What is timed: one frame at a time, uint8 pixels in and probabilities out: by LoadGen for the percentiles, Python's own
loop (some thousandths of a millisecond) inside; by ``time.perf_counter_ns`` around the call for the first inference and
for loading. Decoding and scaling a picture is not in it (``benchmarks.latency.preprocessing``).
What ``peak_rss_bytes`` holds: everything the process had resident until LoadGen was imported, Python and the runtime's
libraries included; ``baseline_rss_bytes`` is what Python, NumPy and this harness had before the runtime was imported.
On Linux both are VmHWM of /proc/self/status: ``ru_maxrss`` starts from the parent's peak there, because it survives
fork and exec.
With more threads the artifact is loaded anew in the same process: runtimes own their threads by the loaded model, and
those of the first one are gone with it.

Whether the runtime on this machine stands for the format (Core ML's does on a Mac only) is the format's to say: the
caller asks ``runtime().unmeasured`` first.
"""

from __future__ import annotations

import math
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.latency.isolated_process import Errand, ask, serve
from benchmarks.latency.mlperf_loadgen import PROFILES, Course, ProfileName, Stream, single_stream
from pipeline.data.records import Record

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
Load = Callable[[Path, int], Predict]
Generator = Callable[[Callable[[int], object], Course, Path], Stream]
TIMEOUT_S = 600
_RELOADS = 3


class LatencyRequest(Record):
    """What a child process is to measure; ``frames`` is an .npy file, uint8 (n, height, width, 3) RGB."""

    format: str
    path: Path
    frames: Path
    threads: int
    threads_many: int
    warmup: int
    profile: ProfileName


class Timing(Record):
    """What it measured.

    Attributes:
        load_ms: Median of loading the artifact again, its runtime already imported.
        cold_load_ms: The first load, the import of the runtime included.
        first_inference_ms: The first frame after the first load.
        latency_p50_ms: LoadGen's percentiles of single frames after the warm-up; p90 and p99 likewise.
        latency_runs: Frames that LoadGen timed.
        latency_profile: How long it had to.
        latency_valid: LoadGen's verdict on the run.
        latency_many_p50_ms: The same with ``threads_many`` threads; ``latency_many_valid`` is LoadGen's verdict on it.
        peak_rss_bytes: Most memory the process had resident before LoadGen was there.
        baseline_rss_bytes: The same before the runtime was imported.
    """

    load_ms: float
    cold_load_ms: float
    first_inference_ms: float
    latency_p50_ms: float
    latency_p90_ms: float
    latency_p99_ms: float
    latency_runs: int
    latency_profile: ProfileName
    latency_valid: bool
    latency_many_p50_ms: float
    latency_many_p90_ms: float
    latency_many_valid: bool
    threads: int
    threads_many: int
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
    shorten = "params.yaml measure.latency.profile"
    errand = Errand(
        "benchmarks.latency.single_artifact", request.path, request.format, request.threads, TIMEOUT_S, shorten
    )
    return ask(errand, request, Timing)


def take(request: LatencyRequest, load: Load, generate: Generator = single_stream) -> Timing:
    """Load and run an artifact in this process."""
    frames = np.load(request.frames)
    baseline = peak_rss_bytes()
    started = time.perf_counter_ns()
    predict = load(request.path, request.threads)
    cold_load = _ms_since(started)
    first = _timed(predict, frames[0])
    expected_ns = _warm_up(predict, frames, request.warmup)
    peak = peak_rss_bytes()  # before LoadGen draws up its queries, and before the artifact is loaded again
    one = _stream(predict, frames, (request.profile, expected_ns), generate)
    del predict
    loads = []
    for _ in range(_RELOADS):
        started = time.perf_counter_ns()
        load(request.path, request.threads)
        loads.append(_ms_since(started))
    predict = load(request.path, request.threads_many)
    many = _stream(predict, frames, (request.profile, _warm_up(predict, frames, request.warmup)), generate)
    return Timing(
        load_ms=percentile(loads, 50),
        cold_load_ms=cold_load,
        first_inference_ms=first,
        latency_p50_ms=one.p50_ms,
        latency_p90_ms=one.p90_ms,
        latency_p99_ms=one.p99_ms,
        latency_runs=one.queries,
        latency_profile=request.profile,
        latency_valid=one.valid,
        latency_many_p50_ms=many.p50_ms,
        latency_many_p90_ms=many.p90_ms,
        latency_many_valid=many.valid,
        threads=request.threads,
        threads_many=request.threads_many,
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

    return serve(arguments, LatencyRequest, lambda request: take(request, open_format(request.format).load))


def _warm_up(predict: Predict, frames: NDArray[np.uint8], count: int) -> int:
    """Run so many frames, one at least; returns half the shortest time in ns: a latency that LoadGen will not meet."""
    timings = [_timed(predict, frames[i % len(frames)]) for i in range(max(count, 1))]
    return int(min(timings) * 1e6 / 2)


def _stream(
    predict: Predict, frames: NDArray[np.uint8], length: tuple[ProfileName, int], generate: Generator
) -> Stream:
    profile, expected_ns = length
    course = Course(len(frames), PROFILES[profile], expected_ns)
    with tempfile.TemporaryDirectory() as folder:
        return generate(lambda at: predict(frames[at]), course, Path(folder))


def _ms_since(started_ns: int) -> float:
    return (time.perf_counter_ns() - started_ns) / 1e6


def _timed(predict: Predict, frame: NDArray[np.uint8]) -> float:
    started = time.perf_counter_ns()
    predict(frame)
    return _ms_since(started)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

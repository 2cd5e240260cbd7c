"""Measures load time, latency and memory of one artifact in its own runtime, in a fresh process.

``time_artifact`` starts ``python -m benchmarks.latency.single_artifact REQUEST RESULT``. That process loads the
artifact through its format, runs it under LoadGen (``benchmarks.latency.mlperf_loadgen``) and writes a ``Timing``.

Latency is that of one frame at a time, from uint8 pixels to probabilities: LoadGen's percentiles, which include a few
microseconds of Python. The first inference and the loading are timed by ``time.perf_counter_ns`` around the call.
Decoding and scaling pictures is not included (``benchmarks.latency.preprocessing``).

``peak_rss_bytes`` is everything resident before LoadGen was imported, including Python and the runtime's libraries;
``baseline_rss_bytes`` is the part of Python, NumPy and this module before the runtime was imported. On Linux both are
VmHWM of /proc/self/status, because ``ru_maxrss`` starts at the parent's peak there, which survives fork and exec.

With more threads the artifact is loaded again in the same process: threads belong to a loaded model, and those of the
first one end with it. Whether the runtime on this machine is representative of the format (Core ML's is only on a Mac)
is decided by the format: the caller checks ``runtime().unmeasured`` first.
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

from benchmarks.latency.isolated_process import ProcessRequest, main_isolated, run_isolated
from benchmarks.latency.mlperf_loadgen import (
    PROFILES,
    LoadGenSettings,
    ProfileName,
    SingleStreamResult,
    run_single_stream,
)
from pipeline.data.records import Record

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
Load = Callable[[Path, int], Predict]
LoadGenerator = Callable[[Callable[[int], object], LoadGenSettings, Path], SingleStreamResult]
TIMEOUT_S = 600
_RELOADS = 3


class LatencyRequest(Record):
    """What to measure, and how.

    Attributes:
        format: Format of the artifact.
        path: Model file or package.
        frames: .npy file of RGB frames, uint8 (n, height, width, 3).
        threads: Threads of the first measurement.
        threads_many: Threads of the second one.
        warmup: Frames that are run before each measurement.
        profile: Minimum length of LoadGen's runs.
    """

    format: str
    path: Path
    frames: Path
    threads: int
    threads_many: int
    warmup: int
    profile: ProfileName


class Timing(Record):
    """Times and memory of one artifact.

    Attributes:
        load_ms: Median time of loading the artifact again, with its runtime already imported.
        cold_load_ms: Time of the first load, including the import of the runtime.
        first_inference_ms: Time of the first frame after the first load.
        latency_p50_ms: LoadGen's median of single frames after the warm-up; p90 and p99 likewise.
        latency_runs: Frames that LoadGen timed.
        latency_profile: Minimum length of LoadGen's run.
        latency_valid: LoadGen's verdict on the run.
        latency_many_p50_ms: The same with ``threads_many`` threads; p90 and ``latency_many_valid`` likewise.
        threads: Threads of the first measurement.
        threads_many: Threads of the second one.
        peak_rss_bytes: Peak resident memory before LoadGen was imported.
        baseline_rss_bytes: Peak resident memory before the runtime was imported.
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
    """Nearest-rank percentile: the smallest timing that is not exceeded by at least ``percent`` per cent of all.

    Always one of the timings, never a mean of two; NaN without timings.
    """
    if not timings:
        return math.nan
    rank = math.ceil(percent / 100 * len(timings))
    return sorted(timings)[max(rank, 1) - 1]


def time_artifact(request: LatencyRequest) -> Timing:
    """Measure one artifact in a fresh process.

    Raises:
        ModelError: The process could not load or run the artifact, or took longer than ``TIMEOUT_S``.
    """
    module, remedy = "benchmarks.latency.single_artifact", "set params.yaml measure.latency.profile: quick"
    process = ProcessRequest(module, request.path, request.format, request.threads, TIMEOUT_S, remedy)
    return run_isolated(process, request, Timing)


def time_in_process(request: LatencyRequest, load: Load, run_loadgen: LoadGenerator = run_single_stream) -> Timing:
    """Load, run and measure an artifact in this process."""
    frames = np.load(request.frames)
    baseline = peak_rss_bytes()
    started = time.perf_counter_ns()
    predict = load(request.path, request.threads)
    cold_load = _ms_since(started)
    first = _time_call(predict, frames[0])
    expected_ns = _warm_up(predict, frames, request.warmup)
    peak = peak_rss_bytes()  # before LoadGen prepares its queries, and before the artifact is loaded again
    one = _run_loadgen(predict, frames, (request.profile, expected_ns), run_loadgen)
    del predict
    loads = []
    for _ in range(_RELOADS):
        started = time.perf_counter_ns()
        load(request.path, request.threads)
        loads.append(_ms_since(started))
    predict = load(request.path, request.threads_many)
    expected_ns = _warm_up(predict, frames, request.warmup)
    many = _run_loadgen(predict, frames, (request.profile, expected_ns), run_loadgen)
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
    """Peak resident memory of this process, in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage if sys.platform == "darwin" else usage * 1024


def main(arguments: Sequence[str]) -> int:
    """Entry point of the fresh process."""
    from export.formats import open_format

    return main_isolated(
        arguments, LatencyRequest, lambda request: time_in_process(request, open_format(request.format).load)
    )


def _warm_up(predict: Predict, frames: NDArray[np.uint8], count: int) -> int:
    """Run ``count`` frames, at least one; returns half the shortest time in ns, a lower bound of the latency."""
    timings = [_time_call(predict, frames[index % len(frames)]) for index in range(max(count, 1))]
    return int(min(timings) * 1e6 / 2)


def _run_loadgen(
    predict: Predict, frames: NDArray[np.uint8], length: tuple[ProfileName, int], run_loadgen: LoadGenerator
) -> SingleStreamResult:
    profile, expected_ns = length
    settings = LoadGenSettings(len(frames), PROFILES[profile], expected_ns)
    with tempfile.TemporaryDirectory() as folder:
        return run_loadgen(lambda index: predict(frames[index]), settings, Path(folder))


def _ms_since(started_ns: int) -> float:
    return (time.perf_counter_ns() - started_ns) / 1e6


def _time_call(predict: Predict, frame: NDArray[np.uint8]) -> float:
    started = time.perf_counter_ns()
    predict(frame)
    return _ms_since(started)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Percentiles equal those computed by hand, and an artifact is measured under LoadGen in a real fresh process."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.latency import single_artifact
from benchmarks.latency.mlperf_loadgen import PROFILES, LoadGenSettings, SingleStreamResult
from pipeline.errors import ModelError


def request_for(path: Path, folder: Path) -> single_artifact.LatencyRequest:
    np.save(folder / "frames.npy", np.full((3, 8, 6, 3), 90, np.uint8))
    return single_artifact.LatencyRequest(
        format="onnx", path=path, frames=folder / "frames.npy", threads=1, threads_many=2, warmup=2, profile="quick"
    )


def five_queries(predict: Callable[[int], object], settings: LoadGenSettings, folder: Path) -> SingleStreamResult:
    """Replaces LoadGen: requests five frames."""
    assert folder.is_dir()
    assert 0 < settings.expected_ns < 10**9
    for query in range(5):
        predict(query % settings.samples)
    return SingleStreamResult(valid=False, queries=5, p50_ms=1.0, p90_ms=2.0, p99_ms=3.0)


@pytest.mark.parametrize(("percent", "expected"), [(50, 5.0), (90, 9.0), (99, 10.0), (0, 1.0), (100, 10.0), (51, 6.0)])
def test_percentiles_are_those_of_the_nearest_rank(percent: float, expected: float) -> None:
    assert single_artifact.percentile([10.0, 1.0, 9.0, 2.0, 8.0, 3.0, 7.0, 4.0, 6.0, 5.0], percent) == expected


def test_a_percentile_is_always_one_of_the_timings() -> None:
    assert single_artifact.percentile([1.0, 100.0], 50) == 1.0
    assert single_artifact.percentile([3.0], 99) == 3.0
    assert math.isnan(single_artifact.percentile([], 50))


def test_warm_up_timed_runs_and_loads_have_the_requested_numbers(tmp_path: Path) -> None:
    loads, frames = [], []

    def load(path: Path, threads: int) -> single_artifact.Predict:
        loads.append((path, threads))

        def predict(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
            frames.append(frame.shape)
            return np.ones(2, np.float32)

        return predict

    timing = single_artifact.time_in_process(request_for(Path("model"), tmp_path), load, five_queries)
    assert len(frames) == 1 + 2 * (
        2 + 5
    )  # the first frame; then warm-up and timed frames with one and with two threads
    assert set(frames) == {(8, 6, 3)}
    assert [threads for _, threads in loads] == [1, 1, 1, 1, 2]  # the first load, three more, and one with two threads
    assert timing.peak_rss_bytes >= timing.baseline_rss_bytes > 0


def test_percentiles_counts_and_the_verdict_are_those_of_loadgen(tmp_path: Path) -> None:
    timing = single_artifact.time_in_process(
        request_for(Path("model"), tmp_path), lambda *_: lambda _frame: np.ones(2), five_queries
    )
    assert (timing.latency_p50_ms, timing.latency_p90_ms, timing.latency_p99_ms) == (1.0, 2.0, 3.0)
    assert (timing.latency_runs, timing.latency_valid, timing.latency_profile) == (5, False, "quick")
    assert (timing.latency_many_p50_ms, timing.latency_many_p90_ms, timing.latency_many_valid) == (1.0, 2.0, False)


def test_the_expected_latency_is_half_of_the_fastest_warm_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With more than the true latency LoadGen would prepare too few queries."""
    now, runs = [0], []
    costs = iter([9, 5, 4, 8, 6])  # ms: the first frame; the warm-up with one thread, and with two

    def predict(_frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        now[0] += next(costs) * 1_000_000
        return np.ones(2, np.float32)

    def record(_predict: Callable[[int], object], settings: LoadGenSettings, _folder: Path) -> SingleStreamResult:
        runs.append(settings)
        return SingleStreamResult(valid=True, queries=5, p50_ms=1.0, p90_ms=2.0, p99_ms=3.0)

    monkeypatch.setattr(single_artifact.time, "perf_counter_ns", lambda: now[0])
    timing = single_artifact.time_in_process(request_for(Path("model"), tmp_path), lambda *_: predict, record)
    assert timing.first_inference_ms == 9
    expected = [LoadGenSettings(3, PROFILES["quick"], nanoseconds) for nanoseconds in (2_000_000, 3_000_000)]
    assert runs == expected


def test_an_artifact_is_measured_in_a_fresh_process(means_model: Path, tmp_path: Path) -> None:
    ballast = np.ones(150_000_000, np.uint8)  # ru_maxrss of a child process would include this
    timing = single_artifact.time_artifact(request_for(means_model, tmp_path))
    assert len(ballast) == 150_000_000
    assert (timing.threads, timing.threads_many) == (1, 2)
    assert min(timing.load_ms, timing.cold_load_ms, timing.first_inference_ms) > 0
    assert 0 < timing.latency_p50_ms <= timing.latency_p90_ms <= timing.latency_p99_ms
    assert timing.latency_runs >= PROFILES["quick"].min_queries
    assert (timing.latency_valid, timing.latency_many_valid) == (True, True)
    assert timing.peak_rss_bytes > timing.baseline_rss_bytes > 10_000_000
    assert timing.baseline_rss_bytes < 100_000_000, "a toolkit is imported before the runtime"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only on Linux a child starts at its parent's peak")
def test_peak_memory_does_not_start_at_the_parents_peak() -> None:
    ballast = np.ones(400_000_000, np.uint8)
    code = "from benchmarks.latency.single_artifact import peak_rss_bytes; print(peak_rss_bytes())"
    root = Path(single_artifact.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=root)
    assert int(done.stdout) < len(ballast)


def test_a_broken_artifact_gives_the_runtimes_error_in_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"broken\.onnx: cannot be run by onnx's runtime: .*broken\.onnx"):
        single_artifact.time_artifact(request_for(broken, tmp_path))


def test_a_slow_artifact_is_stopped_after_the_timeout(
    means_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(single_artifact, "TIMEOUT_S", 0.01)
    with pytest.raises(ModelError, match=r"not measured within 0\.01 s; set params\.yaml measure\.latency\.profile"):
        single_artifact.time_artifact(request_for(means_model, tmp_path))

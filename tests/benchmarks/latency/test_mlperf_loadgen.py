"""LoadGen runs a small function, and its verdict is read from its log unchanged."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from benchmarks.latency.mlperf_loadgen import PROFILES, LoadGenSettings, Profile, read_detail_log, run_single_stream
from pipeline.errors import ModelError

SHORT = Profile(min_queries=64, min_duration_ms=0)


def entry(key: str, value: object) -> str:
    return f":::MLLOG {json.dumps({'key': key, 'value': value, 'time_ms': 1.0, 'metadata': {'is_error': False}})}\n"


def test_loadgen_requests_one_sample_at_a_time_on_the_thread_that_started_it(tmp_path: Path) -> None:
    samples, threads = [], set()

    def predict(index: int) -> None:
        samples.append(index)
        threads.add(threading.get_ident())

    result = run_single_stream(predict, LoadGenSettings(3, SHORT, 1000), tmp_path)
    assert result.valid
    assert result.queries == len(samples) == 64
    assert set(samples) == {0, 1, 2}
    assert threads == {threading.get_ident()}
    assert 0 < result.p50_ms <= result.p90_ms <= result.p99_ms


def test_loadgen_calls_a_run_with_too_few_queries_invalid(tmp_path: Path) -> None:
    result = run_single_stream(
        lambda _index: None, LoadGenSettings(3, Profile(min_queries=10, min_duration_ms=0), 1000), tmp_path
    )
    assert (result.valid, result.queries) == (False, 10)


def test_a_run_lasts_for_its_minimum_duration(tmp_path: Path) -> None:
    result = run_single_stream(
        lambda _index: None, LoadGenSettings(3, Profile(min_queries=64, min_duration_ms=30), 1000), tmp_path
    )
    assert result.valid
    assert result.queries > 64


def test_a_run_that_uses_up_its_queries_too_early_is_invalid(tmp_path: Path) -> None:
    expects_one_hour = LoadGenSettings(3, Profile(min_queries=64, min_duration_ms=600), 3600 * 10**9)
    assert not run_single_stream(lambda _index: None, expects_one_hour, tmp_path).valid


def test_the_order_of_samples_is_the_same_in_every_run(tmp_path: Path) -> None:
    orders: list[list[int]] = [[], []]
    for order in orders:
        run_single_stream(order.append, LoadGenSettings(32, SHORT, 1000), tmp_path)
    assert orders[0] == orders[1]


def test_an_inference_error_ends_the_run_with_its_reason(tmp_path: Path) -> None:
    samples = []

    def predict(index: int) -> None:
        samples.append(index)
        if len(samples) == 5:
            raise RuntimeError("the delegate is gone")

    with pytest.raises(ModelError, match="inference failed on a frame: the delegate is gone"):
        run_single_stream(predict, LoadGenSettings(3, SHORT, 1000), tmp_path)
    assert len(samples) == 5


def test_the_mlperf_profile_follows_the_rule_of_mlperf_mobile() -> None:
    assert PROFILES["mlperf"] == Profile(min_queries=1024, min_duration_ms=60_000)
    assert PROFILES["quick"].min_queries >= 64, "fewer are never VALID"


def test_the_result_is_read_from_the_detail_log(tmp_path: Path) -> None:
    path = tmp_path / "detail.txt"
    path.write_text(
        entry("loadgen_version", "6")
        + entry("result_validity", "INVALID")
        + entry("result_query_count", 7)
        + "".join(entry(f"result_{name}_percentile_latency_ns", value) for name, value in (("50.00", 1_500_000),))
        + entry("result_90.00_percentile_latency_ns", 2_000_000)
        + entry("result_99.00_percentile_latency_ns", 2_500_000)
    )
    result = read_detail_log(path)
    assert (result.valid, result.queries, result.p50_ms, result.p90_ms, result.p99_ms) == (False, 7, 1.5, 2.0, 2.5)


def test_a_missing_or_incomplete_log_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "detail.txt"
    with pytest.raises(ModelError, match=r"detail\.txt: missing; expected LoadGen's detail log"):
        read_detail_log(path)
    path.write_text(entry("result_validity", "VALID"))
    with pytest.raises(ModelError, match="no result_query_count; expected one in the log of a complete run"):
        read_detail_log(path)

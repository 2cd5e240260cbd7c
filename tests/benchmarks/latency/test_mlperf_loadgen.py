"""LoadGen itself asks a system of a few lines; its logs are read as they are, bad news included."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from benchmarks.latency.mlperf_loadgen import PROFILES, Course, Profile, read_detail, single_stream
from pipeline.errors import ModelError

BRISK = Profile(min_queries=64, min_duration_ms=0)


def entry(key: str, value: object) -> str:
    return f":::MLLOG {json.dumps({'key': key, 'value': value, 'time_ms': 1.0, 'metadata': {'is_error': False}})}\n"


def test_loadgen_asks_one_sample_at_a_time_on_the_thread_that_started_it(tmp_path: Path) -> None:
    asked, threads = [], set()

    def answer(at: int) -> None:
        asked.append(at)
        threads.add(threading.get_ident())

    stream = single_stream(answer, Course(3, BRISK, 1000), tmp_path)
    assert stream.valid
    assert stream.queries == len(asked) == 64
    assert set(asked) == {0, 1, 2}
    assert threads == {threading.get_ident()}
    assert 0 < stream.p50_ms <= stream.p90_ms <= stream.p99_ms


def test_a_run_too_short_is_called_invalid_by_loadgen(tmp_path: Path) -> None:
    stream = single_stream(lambda _at: None, Course(3, Profile(min_queries=10, min_duration_ms=0), 1000), tmp_path)
    assert (stream.valid, stream.queries) == (False, 10)


def test_a_run_goes_on_until_its_time_is_up(tmp_path: Path) -> None:
    stream = single_stream(lambda _at: None, Course(3, Profile(min_queries=64, min_duration_ms=30), 1000), tmp_path)
    assert stream.valid
    assert stream.queries > 64


def test_queries_that_run_out_before_the_time_is_up_make_a_run_invalid(tmp_path: Path) -> None:
    expected_an_hour = Course(3, Profile(min_queries=64, min_duration_ms=600), 3600 * 10**9)
    assert not single_stream(lambda _at: None, expected_an_hour, tmp_path).valid


def test_the_same_order_of_samples_is_asked_every_time(tmp_path: Path) -> None:
    orders: list[list[int]] = [[], []]
    for order in orders:
        single_stream(order.append, Course(32, BRISK, 1000), tmp_path)
    assert orders[0] == orders[1]


def test_a_frame_that_cannot_be_answered_ends_the_run_with_its_reason(tmp_path: Path) -> None:
    asked = []

    def answer(at: int) -> None:
        asked.append(at)
        if len(asked) == 5:
            raise RuntimeError("the delegate is gone")

    with pytest.raises(ModelError, match="could not be answered: the delegate is gone"):
        single_stream(answer, Course(3, BRISK, 1000), tmp_path)
    assert len(asked) == 5


def test_the_profile_of_mlperf_is_mlperfs() -> None:
    assert PROFILES["mlperf"] == Profile(min_queries=1024, min_duration_ms=60_000)
    assert PROFILES["quick"].min_queries >= 64, "fewer are never VALID"


def test_what_loadgen_found_is_read_from_its_detail_log(tmp_path: Path) -> None:
    path = tmp_path / "detail.txt"
    path.write_text(
        entry("loadgen_version", "6")
        + entry("result_validity", "INVALID")
        + entry("result_query_count", 7)
        + "".join(entry(f"result_{name}_percentile_latency_ns", value) for name, value in (("50.00", 1_500_000),))
        + entry("result_90.00_percentile_latency_ns", 2_000_000)
        + entry("result_99.00_percentile_latency_ns", 2_500_000)
    )
    stream = read_detail(path)
    assert (stream.valid, stream.queries, stream.p50_ms, stream.p90_ms, stream.p99_ms) == (False, 7, 1.5, 2.0, 2.5)


def test_a_log_that_was_cut_short_is_no_result(tmp_path: Path) -> None:
    path = tmp_path / "detail.txt"
    with pytest.raises(ModelError, match=r"detail\.txt: missing; expected LoadGen's detail log"):
        read_detail(path)
    path.write_text(entry("result_validity", "VALID"))
    with pytest.raises(ModelError, match="LoadGen gave no result_query_count; the run was cut short"):
        read_detail(path)

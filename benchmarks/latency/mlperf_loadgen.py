"""Single frames, one after the other, issued and timed by MLCommons LoadGen; its word on whether the run is valid.

The scenario is SingleStream (https://github.com/mlcommons/inference/tree/master/loadgen): the next query is issued when
the last is answered. Percentiles, counts and VALID or INVALID are read from LoadGen's own detail log, never worked out
here. Each percentile is one of the timings. LoadGen calls a run of fewer than 64 queries INVALID.

What is timed: LoadGen's clock runs from before it calls Python on the thread that started the test (it takes the GIL
for each query; no other Python thread wants it) until ``QuerySamplesComplete``. Python's entry, the format's check of
the frame and its copy into the runtime are inside. To answer nothing at all took 0.004 ms on the machine this was
written on.

Writes LoadGen's logs to a folder that it is given, and keeps nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import GossamerError, ModelError

ProfileName = Literal["quick", "mlperf"]
_DETAIL = "mlperf_log_detail.txt"
_MARK = ":::MLLOG "
_KEYS = {
    "validity": "result_validity",
    "queries": "result_query_count",
    "p50": "result_50.00_percentile_latency_ns",
    "p90": "result_90.00_percentile_latency_ns",
    "p99": "result_99.00_percentile_latency_ns",
}


@dataclass(frozen=True, slots=True)
class Profile:
    """How long a run must be, in queries and in milliseconds, before LoadGen calls it VALID."""

    min_queries: int
    min_duration_ms: int


PROFILES: dict[ProfileName, Profile] = {
    "quick": Profile(min_queries=300, min_duration_ms=200),
    # MLPerf Mobile's rule for single-stream (arXiv 2012.02328).
    "mlperf": Profile(min_queries=1024, min_duration_ms=60_000),
}


@dataclass(frozen=True, slots=True)
class Stream:
    """What LoadGen says of a run; ``valid`` is its own verdict."""

    valid: bool
    queries: int
    p50_ms: float
    p90_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Course:
    """What LoadGen is to do.

    Attributes:
        samples: How many frames it draws from, in an order of its own that is the same every time.
        profile: When it may stop.
        expected_ns: Below the true latency: from it LoadGen draws up how many queries it may need, and where they run
            out before the time is up the run is INVALID.
    """

    samples: int
    profile: Profile
    expected_ns: int


def single_stream(answer: Callable[[int], object], course: Course, folder: Path) -> Stream:
    """Let LoadGen ask for samples by number, one at a time.

    Args:
        answer: Called with the number of a sample, 0 to ``course.samples`` - 1.
        course: What LoadGen is to do.
        folder: For its logs; exists.

    Raises:
        ModelError: A sample could not be answered, or LoadGen left no result.
    """
    import mlperf_loadgen as loadgen

    failures: list[Exception] = []

    def issue(queries: list[Any]) -> None:
        # An exception that reached LoadGen's threads would take the process down: the rest is waved through instead.
        for query in queries:
            try:
                if not failures:
                    answer(query.index)
            except (GossamerError, RuntimeError, ValueError) as error:
                failures.append(error)
            loadgen.QuerySamplesComplete([loadgen.QuerySampleResponse(query.id, 0, 0)])

    def nothing(*_: object) -> None:
        """Samples are in memory already, and nothing is left to flush."""

    settings = loadgen.TestSettings()
    settings.scenario, settings.mode = loadgen.TestScenario.SingleStream, loadgen.TestMode.PerformanceOnly
    settings.min_query_count, settings.min_duration_ms = course.profile.min_queries, course.profile.min_duration_ms
    settings.single_stream_expected_latency_ns = max(course.expected_ns, 1)
    logs = loadgen.LogSettings()
    logs.enable_trace = False
    logs.log_output.outdir = str(folder)
    system, library = (
        loadgen.ConstructSUT(issue, nothing),
        loadgen.ConstructQSL(course.samples, course.samples, nothing, nothing),
    )
    # The last argument is a file of overrides that LoadGen would otherwise look for where the process stands.
    loadgen.StartTestWithLogSettings(system, library, settings, logs, str(folder / "no_overrides.config"))
    loadgen.DestroyQSL(library)
    loadgen.DestroySUT(system)
    if failures:
        raise ModelError(f"a frame could not be answered: {failures[0]}") from failures[0]
    return read_detail(folder / _DETAIL)


def read_detail(path: Path) -> Stream:
    """Read a run's result from LoadGen's detail log.

    Raises:
        ModelError: The log is missing, or holds no result.
    """
    if not path.is_file():
        raise ModelError(f"{path}: missing; expected LoadGen's detail log")
    told: dict[str, Any] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(_MARK) and '"result_' in line:
            entry = json.loads(line.removeprefix(_MARK))
            told[entry["key"]] = entry["value"]
    missing = [key for key in _KEYS.values() if key not in told]
    if missing:
        raise ModelError(f"{path}: LoadGen gave no {missing[0]}; the run was cut short")
    return Stream(
        valid=told[_KEYS["validity"]] == "VALID",
        queries=int(told[_KEYS["queries"]]),
        p50_ms=told[_KEYS["p50"]] / 1e6,
        p90_ms=told[_KEYS["p90"]] / 1e6,
        p99_ms=told[_KEYS["p99"]] / 1e6,
    )

"""Runs single frames one after the other under MLCommons LoadGen, and reads its verdict on the run from its log.

The scenario is SingleStream (https://github.com/mlcommons/inference/tree/master/loadgen): the next query is issued when
the previous one is completed. Percentiles, counts and VALID or INVALID are read from LoadGen's detail log, never
computed here. Each percentile is one of the timings. LoadGen calls a run of fewer than 64 queries INVALID.

Timed interval: LoadGen's clock runs from before it calls Python on the thread that started the test (it takes the GIL
for each query; no other Python thread needs it) until ``QuerySamplesComplete``. So it includes the call into Python,
the format's check of the frame, and its copy into the runtime. An empty function took 0.004 ms where this was written.

Writes LoadGen's logs to the folder that the caller passes.
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
    """Minimum number of queries and duration in milliseconds of a run that LoadGen calls VALID."""

    min_queries: int
    min_duration_ms: int


PROFILES: dict[ProfileName, Profile] = {
    "quick": Profile(min_queries=300, min_duration_ms=200),
    # The rule of MLPerf Mobile for single-stream (arXiv 2012.02328).
    "mlperf": Profile(min_queries=1024, min_duration_ms=60_000),
}


@dataclass(frozen=True, slots=True)
class SingleStreamResult:
    """LoadGen's result of a run; ``valid`` is its verdict."""

    valid: bool
    queries: int
    p50_ms: float
    p90_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class LoadGenSettings:
    """Settings of a run.

    Attributes:
        samples: Number of frames; LoadGen draws them in an order that is the same in every run.
        profile: Minimum length of the run.
        expected_ns: A latency below the true one. LoadGen derives from it how many queries to prepare; a run whose
            queries are used up before the minimum duration is INVALID.
    """

    samples: int
    profile: Profile
    expected_ns: int


def run_single_stream(predict: Callable[[int], object], settings: LoadGenSettings, folder: Path) -> SingleStreamResult:
    """Run LoadGen, which requests samples by index, one at a time.

    Args:
        predict: Called with the index of a sample, 0 to ``settings.samples`` - 1.
        settings: Settings of the run.
        folder: An existing folder for LoadGen's logs.

    Raises:
        ModelError: Inference failed, or LoadGen wrote no result.
    """
    import mlperf_loadgen as loadgen

    failures: list[Exception] = []

    def issue(queries: list[Any]) -> None:
        # An exception in LoadGen's threads would end the process: the remaining queries complete without inference.
        for query in queries:
            try:
                if not failures:
                    predict(query.index)
            except (GossamerError, RuntimeError, ValueError) as error:
                failures.append(error)
            loadgen.QuerySamplesComplete([loadgen.QuerySampleResponse(query.id, 0, 0)])

    def do_nothing(*_: object) -> None:
        """Samples are already in memory, and there is nothing to flush."""

    test = loadgen.TestSettings()
    test.scenario, test.mode = loadgen.TestScenario.SingleStream, loadgen.TestMode.PerformanceOnly
    test.min_query_count, test.min_duration_ms = settings.profile.min_queries, settings.profile.min_duration_ms
    test.single_stream_expected_latency_ns = max(settings.expected_ns, 1)
    logs = loadgen.LogSettings()
    logs.enable_trace = False
    logs.log_output.outdir = str(folder)
    system = loadgen.ConstructSUT(issue, do_nothing)
    library = loadgen.ConstructQSL(settings.samples, settings.samples, do_nothing, do_nothing)
    # Without its last argument LoadGen would read a file of overrides from the current folder.
    loadgen.StartTestWithLogSettings(system, library, test, logs, str(folder / "no_overrides.config"))
    loadgen.DestroyQSL(library)
    loadgen.DestroySUT(system)
    if failures:
        raise ModelError(f"inference failed on a frame: {failures[0]}") from failures[0]
    return read_detail_log(folder / _DETAIL)


def read_detail_log(path: Path) -> SingleStreamResult:
    """Read the result of a run from LoadGen's detail log.

    Raises:
        ModelError: The log is missing or contains no result.
    """
    if not path.is_file():
        raise ModelError(f"{path}: missing; expected LoadGen's detail log")
    values: dict[str, str | int] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(_MARK) and '"result_' in line:
            entry = json.loads(line.removeprefix(_MARK))
            values[entry["key"]] = entry["value"]
    missing = [key for key in _KEYS.values() if key not in values]
    if missing:
        raise ModelError(f"{path}: no {missing[0]}; expected one in the log of a complete run")
    return SingleStreamResult(
        valid=values[_KEYS["validity"]] == "VALID",
        queries=int(values[_KEYS["queries"]]),
        p50_ms=int(values[_KEYS["p50"]]) / 1e6,
        p90_ms=int(values[_KEYS["p90"]]) / 1e6,
        p99_ms=int(values[_KEYS["p99"]]) / 1e6,
    )

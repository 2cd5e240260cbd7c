"""The bench measures only files with the accepted SHA-256; where it measures nothing, it names the next command."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.evaluation.measurement import Measurement
from benchmarks.evaluation.predictions import Predictions
from benchmarks.gate import resource_bench
from benchmarks.gate.baseline import Baseline
from benchmarks.gate.baseline_artifacts import FETCHED, Fetched
from benchmarks.gate.checks.resource_growth import PairedMemory
from benchmarks.gate.resource_bench import Places, open_bench
from benchmarks.latency.peak_memory import MemoryRequest, PeakMemory
from benchmarks.latency.side_by_side import PairedRequest, PairedTiming
from pipeline.config.params import GateParams
from pipeline.data.hashing import sha256_of
from pipeline.data.records import Artifacts, Image
from pipeline.data.storage import write_json
from pipeline.errors import DataError, ModelError
from tests.benchmarks.evaluation.measurements import figures_of, measurement_of
from tests.benchmarks.gate.verdicts import as_baseline
from tests.benchmarks.small_task import artifact

Table = Callable[..., Predictions]
NAME = "onnx-float32"


def export(folder: Path, content: bytes) -> str:
    record = artifact("onnx", "float32")
    (folder / "onnx").mkdir(parents=True)
    (folder / "onnx" / record.file).write_bytes(content)
    write_json(folder / "onnx/artifact.json", Artifacts(format="onnx", artifacts=(record,)))
    return sha256_of(folder / "onnx" / record.file)


@pytest.fixture
def places(tmp_path: Path, selfies: tuple[Path, list[Image]]) -> Places:
    return Places(tmp_path / "artifacts", selfies[0], tmp_path / "baseline")


@pytest.fixture
def measured(places: Places, table: Table) -> Measurement:
    row = figures_of(table(20), NAME).model_copy(update={"sha256": export(places.artifacts, b"new")})
    return measurement_of(table(20)).model_copy(update={"threads": 2, "artifacts": {NAME: row}})


@pytest.fixture
def baseline(places: Places, table: Table) -> Baseline:
    digest = export(places.fetched / "artifacts", b"old")
    write_json(places.fetched / FETCHED, Fetched(revision="c" * 40))
    unfetched = as_baseline(table(20))
    release = {"release": "v1", "revision": "c" * 40, "artifacts": {NAME: digest}}
    return replace(unfetched, accepted=unfetched.accepted.model_copy(update=release))


def test_both_files_are_timed_on_the_same_selfies_and_every_run_has_its_own_seed(
    gate_params: GateParams,
    measured: Measurement,
    baseline: Baseline,
    places: Places,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    requests: list[PairedRequest] = []

    def compare(request: PairedRequest) -> PairedTiming:
        requests.append(request)
        assert request.candidate.read_bytes() == b"new"
        assert request.baseline.read_bytes() == b"old"
        frames = np.load(request.frames)
        assert (frames.shape, frames.dtype) == ((32, 8, 6, 3), np.uint8)
        return PairedTiming(ratios=(1.5,), candidate_p50_ms=3.0, baseline_p50_ms=2.0)

    monkeypatch.setattr(resource_bench, "compare_latency", compare)
    bench = open_bench(gate_params.latency, measured, baseline, places)
    assert [bench.time(NAME, run).median_ratio for run in (0, 1)] == [1.5, 1.5]
    assert [request.seed - gate_params.latency.seed for request in requests] == [0, 1]
    assert {(request.threads, request.processes, request.format) for request in requests} == {(2, 9, "onnx")}
    with pytest.raises(ModelError, match="tflite-float32: its file is unknown"):
        bench.time("tflite-float32", 0)


def test_memory_of_both_files_is_measured_on_the_same_selfies(
    gate_params: GateParams,
    measured: Measurement,
    baseline: Baseline,
    places: Places,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    requests: list[MemoryRequest] = []

    def measure(request: MemoryRequest) -> PeakMemory:
        requests.append(request)
        frames = np.load(request.frames)
        assert (frames.shape, frames.dtype) == ((32, 8, 6, 3), np.uint8)
        return PeakMemory(peak_rss_bytes={b"new": 120, b"old": 100}[request.path.read_bytes()])

    monkeypatch.setattr(resource_bench, "measure_peak_memory", measure)
    bench = open_bench(gate_params.latency, measured, baseline, places)
    assert bench.memory(NAME) == PairedMemory(candidate_bytes=120, baseline_bytes=100)
    assert {(request.format, request.threads, request.frames) for request in requests} == {
        ("onnx", 2, requests[0].frames)
    }
    with pytest.raises(ModelError, match="tflite-float32: its file is unknown"):
        bench.memory("tflite-float32")


def test_a_bench_gives_the_reason_for_each_format_that_this_machine_cannot_time(
    gate_params: GateParams, measured: Measurement, baseline: Baseline, places: Places, tmp_path: Path
) -> None:
    elsewhere = replace(places, fetched=tmp_path / "nowhere")
    for accepted, folders in ((None, places), (baseline, elsewhere), (baseline, places)):
        bench = open_bench(gate_params.latency, measured, accepted, folders)
        assert bench.why_not_timeable("onnx") == ""
        assert bool(bench.why_not_timeable("coreml")) == (sys.platform != "darwin")


def test_without_a_baseline_or_its_artifacts_nothing_is_timed_and_the_command_is_named(
    gate_params: GateParams, measured: Measurement, baseline: Baseline, places: Places, tmp_path: Path
) -> None:
    assert "no baseline" in open_bench(gate_params.latency, measured, None, places).why_closed
    elsewhere = replace(places, fetched=tmp_path / "nowhere")
    assert "run gossamer baseline fetch" in open_bench(gate_params.latency, measured, baseline, elsewhere).why_closed
    bare = replace(baseline, accepted=baseline.accepted.model_copy(update={"revision": ""}))
    assert "names no revision" in open_bench(gate_params.latency, measured, bare, places).why_closed


@pytest.mark.parametrize("side", ["artifacts", "baseline/artifacts"])
def test_a_file_with_another_sha256_is_an_error(
    gate_params: GateParams,
    measured: Measurement,
    baseline: Baseline,
    places: Places,
    tmp_path: Path,
    side: str,
) -> None:
    (tmp_path / side / "onnx/model.onnx").write_bytes(b"tampered")
    with pytest.raises(DataError, match=f"{side}/onnx/model.onnx: not the file"):
        open_bench(gate_params.latency, measured, baseline, places)


def test_another_input_size_cannot_be_measured_beside_the_baseline(
    gate_params: GateParams, measured: Measurement, baseline: Baseline, places: Places
) -> None:
    record = artifact("onnx", "float32")
    larger = record.model_copy(update={"preprocess": {**record.preprocess, "input_size": [16, 12]}})
    write_json(places.artifacts / "onnx/artifact.json", Artifacts(format="onnx", artifacts=(larger,)))
    bench = open_bench(gate_params.latency, measured, baseline, places)
    with pytest.raises(ModelError, match="another input size"):
        bench.time(NAME, 0)
    with pytest.raises(ModelError, match="another input size"):
        bench.memory(NAME)

"""Where the gate times: only files that are what they claim, and for each reason to time nothing, a command."""

from __future__ import annotations

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
from benchmarks.gate.resource_bench import Places, open_bench
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
    found = as_baseline(table(20))
    known = {"release": "v1", "revision": "c" * 40, "artifacts": {NAME: digest}}
    return replace(found, accepted=found.accepted.model_copy(update=known))


def test_both_files_are_timed_on_selfies_with_a_seed_of_the_run_s_own(
    gate_params: GateParams,
    measured: Measurement,
    baseline: Baseline,
    places: Places,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[PairedRequest] = []

    def compare(request: PairedRequest) -> PairedTiming:
        asked.append(request)
        assert request.candidate.read_bytes() == b"new"
        assert request.baseline.read_bytes() == b"old"
        frames = np.load(request.frames)
        assert (frames.shape, frames.dtype) == ((32, 8, 6, 3), np.uint8)
        return PairedTiming(ratios=(1.5,), candidate_p50_ms=3.0, baseline_p50_ms=2.0)

    monkeypatch.setattr(resource_bench, "compare_latency", compare)
    bench = open_bench(gate_params.latency, measured, baseline, places)
    assert [bench.time(NAME, run).median_ratio for run in (0, 1)] == [1.5, 1.5]
    assert [each.seed - gate_params.latency.seed for each in asked] == [0, 1]
    assert {(each.threads, each.processes, each.format) for each in asked} == {(2, 9, "onnx")}
    with pytest.raises(ModelError, match="tflite-float32: its file is unknown"):
        bench.time("tflite-float32", 0)


def test_without_a_baseline_or_its_artifacts_nothing_is_timed_and_the_command_is_named(
    gate_params: GateParams, measured: Measurement, baseline: Baseline, places: Places, tmp_path: Path
) -> None:
    assert "no baseline" in open_bench(gate_params.latency, measured, None, places).why_closed
    elsewhere = replace(places, fetched=tmp_path / "nowhere")
    assert "run gossamer baseline fetch" in open_bench(gate_params.latency, measured, baseline, elsewhere).why_closed
    bare = replace(baseline, accepted=baseline.accepted.model_copy(update={"revision": ""}))
    assert "names no revision" in open_bench(gate_params.latency, measured, bare, places).why_closed


@pytest.mark.parametrize("side", ["artifacts", "baseline/artifacts"])
def test_a_file_that_is_not_what_it_claims_stops_the_gate(
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


def test_another_input_size_cannot_be_timed_beside_the_baseline(
    gate_params: GateParams, measured: Measurement, baseline: Baseline, places: Places
) -> None:
    record = artifact("onnx", "float32")
    larger = record.model_copy(update={"preprocess": {**record.preprocess, "input_size": [16, 12]}})
    write_json(places.artifacts / "onnx/artifact.json", Artifacts(format="onnx", artifacts=(larger,)))
    bench = open_bench(gate_params.latency, measured, baseline, places)
    with pytest.raises(ModelError, match="another input size"):
        bench.time(NAME, 0)

"""Peak memory is that of one artifact in its own runtime, whatever the process that asks for it has in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.latency import peak_memory
from benchmarks.latency.peak_memory import MemoryRequest, PeakMemory, measure_peak_memory
from pipeline.data.storage import read_json, write_json
from pipeline.errors import ModelError


def request_for(path: Path, folder: Path, frames: int = 3) -> MemoryRequest:
    np.save(folder / "frames.npy", np.full((frames, 8, 6, 3), 90, np.uint8))
    return MemoryRequest(format="onnx", path=path, frames=folder / "frames.npy", threads=2)


def test_the_artifact_is_loaded_once_and_run_on_every_frame(tmp_path: Path) -> None:
    loads, shapes = [], []

    def load(path: Path, threads: int) -> peak_memory.Load:
        loads.append((path, threads))

        def predict(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
            shapes.append((frame.shape, frame.dtype))
            return np.ones(2, np.float32)

        return predict

    memory = peak_memory.run(request_for(tmp_path / "model", tmp_path), load)
    assert loads == [(tmp_path / "model", 2)]
    assert shapes == [((8, 6, 3), np.uint8)] * 3
    assert memory.peak_rss_bytes > 10_000_000


def test_a_fresh_process_does_not_count_the_memory_of_this_one(means_model: Path, tmp_path: Path) -> None:
    ballast = np.ones(300_000_000, np.uint8)
    memory = measure_peak_memory(request_for(means_model, tmp_path))
    assert 10_000_000 < memory.peak_rss_bytes < len(ballast)


def test_the_process_reads_the_request_and_writes_the_result(means_model: Path, tmp_path: Path) -> None:
    write_json(tmp_path / "request.json", request_for(means_model, tmp_path))
    assert peak_memory.main([str(tmp_path / "request.json"), str(tmp_path / "result.json")]) == 0
    assert read_json(tmp_path / "result.json", PeakMemory).peak_rss_bytes > 10_000_000


def test_a_broken_artifact_gives_the_runtimes_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"broken\.onnx: cannot be run by onnx's runtime: .*broken\.onnx"):
        measure_peak_memory(request_for(tmp_path / "broken.onnx", tmp_path))


def test_a_slow_artifact_is_stopped_after_the_timeout(
    means_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peak_memory, "TIMEOUT_S", 0.01)
    with pytest.raises(ModelError, match=r"means\.onnx: not measured within 0\.01 s; is the machine overloaded"):
        measure_peak_memory(request_for(means_model, tmp_path))

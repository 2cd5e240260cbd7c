"""Percentiles worked out by hand, and the harness on an artifact of its own in a real child process."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import latency
from pipeline.errors import ModelError


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX model of one frame: the mean of each colour, made into two probabilities."""
    import onnx

    frame = onnx.helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, (1, 8, 6, 3))
    answer = onnx.helper.make_tensor_value_info("probs", onnx.TensorProto.FLOAT, (1, 2))
    weights = onnx.numpy_helper.from_array(np.array([[0.01, -0.01]] * 3, np.float32), "weights")
    axes = onnx.numpy_helper.from_array(np.array([1, 2]), "axes")
    nodes = [
        onnx.helper.make_node("Cast", ["image"], ["pixels"], to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node("ReduceMean", ["pixels", "axes"], ["colours"], keepdims=0),
        onnx.helper.make_node("MatMul", ["colours", "weights"], ["logits"]),
        onnx.helper.make_node("Softmax", ["logits"], ["probs"], axis=1),
    ]
    graph = onnx.helper.make_graph(nodes, "means", [frame], [answer], [weights, axes])
    path = tmp_path_factory.mktemp("onnx") / "means.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8), path)
    return path


def request_for(path: Path, folder: Path) -> latency.LatencyRequest:
    np.save(folder / "frames.npy", np.full((3, 8, 6, 3), 90, np.uint8))
    return latency.LatencyRequest(format="onnx", path=path, frames=folder / "frames.npy", threads=1, warmup=2, runs=11)


@pytest.mark.parametrize(("percent", "expected"), [(50, 5.0), (90, 9.0), (99, 10.0), (0, 1.0), (100, 10.0), (51, 6.0)])
def test_percentiles_are_the_nearest_rank(percent: float, expected: float) -> None:
    assert latency.percentile([10.0, 1.0, 9.0, 2.0, 8.0, 3.0, 7.0, 4.0, 6.0, 5.0], percent) == expected


def test_a_percentile_is_always_one_of_the_timings() -> None:
    assert latency.percentile([1.0, 100.0], 50) == 1.0
    assert latency.percentile([3.0], 99) == 3.0
    assert math.isnan(latency.percentile([], 50))


def test_warm_up_runs_and_loads_are_counted_apart(tmp_path: Path) -> None:
    loads, frames = [], []

    def load(path: Path, threads: int) -> latency.Predict:
        loads.append((path, threads))

        def predict(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
            frames.append(frame.shape)
            return np.ones(2, np.float32)

        return predict

    timing = latency.take(request_for(Path("model"), tmp_path), load)
    assert len(frames) == 1 + 2 + 11  # the first, the warm-up, the timed ones
    assert set(frames) == {(8, 6, 3)}
    assert len(loads) == 1 + 3
    assert timing.latency_runs == 11
    assert 0 < timing.latency_p50_ms <= timing.latency_p90_ms <= timing.latency_p99_ms
    assert timing.peak_rss_bytes >= timing.baseline_rss_bytes > 0


def test_an_artifact_is_measured_in_a_process_of_its_own(model: Path, tmp_path: Path) -> None:
    ballast = np.ones(150_000_000, np.uint8)  # ru_maxrss of a child would hold this
    timing = latency.measure(request_for(model, tmp_path))
    assert len(ballast) == 150_000_000
    assert timing.threads == 1
    assert min(timing.load_ms, timing.cold_load_ms, timing.first_inference_ms, timing.latency_p50_ms) > 0
    assert timing.peak_rss_bytes > timing.baseline_rss_bytes > 10_000_000
    assert timing.baseline_rss_bytes < 250_000_000, "a training toolkit is imported beside the runtime"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux hands a parent's peak down")
def test_the_peak_does_not_start_from_the_parents() -> None:
    ballast = np.ones(400_000_000, np.uint8)
    code = "from benchmarks.latency import peak_rss_bytes; print(peak_rss_bytes())"
    root = Path(latency.__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=root)
    assert int(done.stdout) < len(ballast)


def test_a_broken_artifact_is_the_runtimes_error_in_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"broken\.onnx: cannot be run by onnx's runtime: .*broken\.onnx"):
        latency.measure(request_for(broken, tmp_path))


def test_a_slow_artifact_is_given_up(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "TIMEOUT_S", 0.01)
    with pytest.raises(ModelError, match="latency_runs"):
        latency.measure(request_for(model, tmp_path))

"""Hand-made predictions of four artifacts, and selfies of plain colours that a simple rule classifies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.evaluation.inference import EvaluationSet, Reference, Runtimes
from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from benchmarks.latency.preprocessing import PreprocessTiming
from benchmarks.latency.single_artifact import LatencyRequest, Timing
from pipeline.config.params import Arm64Params, GateParams, MeasureParams, Params, load_params
from pipeline.data.preprocess import encode_png
from pipeline.data.records import Image
from pipeline.data.shards import Encoded, write_images
from tests.benchmarks.small_task import LABELS, NAMES, SPEC, artifact, brightness

Table = Callable[..., Predictions]


@pytest.fixture(scope="session")
def params(root: Path) -> Params:
    return load_params(root / "params.yaml")


@pytest.fixture(scope="session")
def means_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX model of one frame: the mean of each colour, mapped to two probabilities."""
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


@pytest.fixture
def gate_params(params: Params) -> GateParams:
    return params.gate


@pytest.fixture
def measure_params(params: Params) -> MeasureParams:
    off = params.measure.camera.model_copy(update={"selfies": 0})
    no_lab = Arm64Params(use="never")  # these artifacts have no files that it could run
    return params.measure.model_copy(update={"workers": 0, "min_slice": 5, "camera": off, "arm64": no_lab})


@pytest.fixture
def table() -> Table:
    """Predictions of ``count`` selfies; ``wrong``: column -> number of wrong decisions, which are its first rows."""

    def make(count: int = 2000, wrong: dict[str, int] | None = None, prefix: str = "selfie") -> Predictions:
        targets = np.arange(count) % 2
        probabilities = {}
        for column in (CHECKPOINT, *NAMES):
            correct = np.arange(count) >= (wrong or {}).get(column, count // 50)
            decided = np.where(correct, targets, 1 - targets)
            positive = np.where(decided == 1, 0.9, 0.2)
            probabilities[column] = np.stack([1 - positive, positive], axis=1).astype(np.float32)
        return Predictions(
            ids=tuple(f"{prefix}-{i}" for i in range(count)),
            sha256=tuple(f"{i:064x}" for i in range(count)),
            targets=targets.astype(np.int64),
            labels=LABELS,
            thresholds=dict.fromkeys(probabilities, 0.5),
            probabilities=probabilities,
        )

    return make


@pytest.fixture
def selfies(tmp_path: Path) -> tuple[Path, list[Image]]:
    """Forty selfies: helmets are light, bare heads dark; in a tenth of each it is the reverse."""
    random = np.random.default_rng(3)
    images = []
    for i in range(40):
        label = LABELS[i % 2]
        bright = (label == "helmet") != (i >= 36)
        pixels = random.integers(140 if bright else 20, 240 if bright else 120, (8, 6, 3), dtype=np.uint8)
        factors = {"light": "night" if i < 10 else "day", "scenario": "street" if i % 4 < 2 else "indoors"}
        images.append(Encoded(f"selfie-{i}", f"selfie-{i // 2}", label, factors, encode_png(pixels), 6, 8))
    return tmp_path / "selfies", write_images(tmp_path / "selfies", images, 25)


@pytest.fixture
def evaluation_set(selfies: tuple[Path, list[Image]]) -> EvaluationSet:
    folder, rows = selfies
    reference = Reference("c" * 64, LABELS, 0.5, SPEC, lambda batch: np.stack([brightness(frame) for frame in batch]))
    artifacts = [(Path(name), artifact(*name.split("-"))) for name in NAMES]
    return EvaluationSet(reference, artifacts, folder, rows)


@pytest.fixture
def runtimes() -> Runtimes:
    """Run the hand-made classifier; Core ML cannot be timed, and all other times are constants."""

    def time(request: LatencyRequest) -> Timing:
        assert np.load(request.frames).shape[1:] == (8, 6, 3)
        return Timing(
            load_ms=2.0,
            cold_load_ms=90.0,
            first_inference_ms=5.0,
            latency_p50_ms=1.0,
            latency_p90_ms=1.5,
            latency_p99_ms=1.9,
            latency_runs=300,
            latency_profile=request.profile,
            latency_valid=True,
            latency_many_p50_ms=0.6,
            latency_many_p90_ms=0.9,
            latency_many_valid=True,
            threads=request.threads,
            threads_many=request.threads_many,
            peak_rss_bytes=10**8,
            baseline_rss_bytes=6 * 10**7,
        )

    return Runtimes(
        open=lambda _path, _artifact, _threads: brightness,
        unmeasured=lambda name: "Core ML needs a Mac" if name == "coreml" else "",
        time=time,
        preprocess=lambda pictures, spec: {
            "camera": PreprocessTiming(
                preprocess_p50_ms=7.0,
                preprocess_p90_ms=9.0,
                preprocess_runs=2 * len(pictures) if spec == SPEC else 0,
                width=960,
                height=1280,
                size_bytes=100_000,
            )
        },
    )

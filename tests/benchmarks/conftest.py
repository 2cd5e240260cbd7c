"""Hand-made predictions of four artifacts, and selfies of plain colours that a simple rule classifies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.evaluation.inference import EvaluationSet, Runtimes
from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from pipeline.config.params import Arm64Params, GateParams, MeasureParams, Params, load_params
from pipeline.data.records import Image
from tests.benchmarks.small_task import LABELS, NAMES, small_evaluation_set, small_runtimes, write_selfies
from tests.benchmarks.whole_run import WholeRun, write_whole_run

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
    return tmp_path / "selfies", write_selfies(tmp_path / "selfies")


@pytest.fixture
def evaluation_set(selfies: tuple[Path, list[Image]]) -> EvaluationSet:
    return small_evaluation_set(*selfies)


@pytest.fixture
def runtimes() -> Runtimes:
    return small_runtimes()


@pytest.fixture(scope="session")
def written_run(root: Path, tmp_path_factory: pytest.TempPathFactory) -> WholeRun:
    """A folder with every file of one run, from the policy to a passing verdict; tests change copies of it."""
    folder = tmp_path_factory.mktemp("run")
    rows = write_selfies(folder / "data" / "selfies")
    return write_whole_run(folder, root, small_evaluation_set(folder / "data" / "selfies", rows), small_runtimes())


@pytest.fixture
def whole_run(written_run: WholeRun, tmp_path: Path) -> WholeRun:
    """A copy of such a folder."""
    return written_run.copy(tmp_path / "run")

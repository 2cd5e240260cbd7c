"""One classifier in both formats that can be computed by hand: channel means, a weight matrix, softmax."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

WEIGHTS = np.array([[0.02, -0.01], [0.0, 0.03], [-0.01, 0.0]], np.float32)


def by_hand(frames: NDArray[np.uint8]) -> NDArray[np.float64]:
    logits = frames.astype(np.float64).mean(axis=(1, 2)) @ WEIGHTS
    exponents = np.exp(logits)
    return exponents / exponents.sum(axis=1, keepdims=True)


@pytest.fixture(scope="session")
def frames() -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (4, 8, 6, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {"onnx": _write_onnx(folder / "means.onnx"), "tflite": _write_tflite(folder / "means.tflite")}


def _write_onnx(path: Path) -> Path:
    import onnx

    frame = onnx.helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, (1, 8, 6, 3))
    answer = onnx.helper.make_tensor_value_info("probs", onnx.TensorProto.FLOAT, (1, 2))
    constants = [
        onnx.numpy_helper.from_array(WEIGHTS, "weights"),
        onnx.numpy_helper.from_array(np.array([1, 2]), "axes"),
    ]
    nodes = [
        onnx.helper.make_node("Cast", ["image"], ["pixels"], to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node("ReduceMean", ["pixels", "axes"], ["colours"], keepdims=0),
        onnx.helper.make_node("MatMul", ["colours", "weights"], ["logits"]),
        onnx.helper.make_node("Softmax", ["logits"], ["probs"], axis=1),
    ]
    graph = onnx.helper.make_graph(nodes, "means", [frame], [answer], constants)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8), path)
    return path


def _write_tflite(path: Path) -> Path:
    import torch

    from export.toolkit_output import quiet_toolkits

    class Means(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("weights", torch.from_numpy(WEIGHTS))

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.softmax(image.to(torch.float32).mean(dim=(1, 2)) @ self.weights, dim=1)

    with quiet_toolkits():
        import litert_torch

        frame = torch.zeros(1, 8, 6, 3, dtype=torch.uint8)
        litert_torch.convert(Means().eval(), (frame,)).export(str(path))
    return path

"""The order of kernels in an .ort file: the same whatever ONNX Runtime wrote, and the model means what it meant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from export.formats.onnx import ort_format
from export.formats.onnx.ort_format import read_kernels, settle_kernels


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small network, as ONNX Runtime itself writes it."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(1).normal(size=(4, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Transpose", ["frame"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "weights"], ["found"], pads=[1, 1, 1, 1]),
        helper.make_node("HardSwish", ["found"], ["kept"]),
        helper.make_node("GlobalAveragePool", ["kept"], ["mean"]),
        helper.make_node("Softmax", ["mean"], ["probs"], axis=1),
    ]
    frame = helper.make_tensor_value_info("frame", TensorProto.FLOAT, (1, 8, 6, 3))
    probs = helper.make_tensor_value_info("probs", TensorProto.FLOAT, (1, 4, 1, 1))
    graph = helper.make_graph(nodes, "small", [frame], [probs], [numpy_helper.from_array(weights, "weights")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    path = tmp_path_factory.mktemp("ort") / "small.ort"
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return path.read_bytes()


def run(model: bytes) -> np.ndarray:
    frame = np.random.default_rng(2).normal(size=(1, 8, 6, 3)).astype(np.float32)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"frame": frame})[0])


def test_it_names_the_same_kernels_and_answers_the_same(written: bytes) -> None:
    settled = settle_kernels(written)
    kernels = read_kernels(settled)
    assert kernels == read_kernels(written)
    assert {operator.split(b":")[1] for operator, _ in kernels} >= {b"Conv", b"Transpose"}
    np.testing.assert_array_equal(run(settled), run(written))


def test_the_order_it_was_written_in_is_gone(written: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    settled, sort = settle_kernels(written), read_kernels
    with monkeypatch.context() as patch:
        patch.setattr(ort_format, "read_kernels", lambda model: sort(model)[::-1])
        other = settle_kernels(written)
    assert other != settled
    assert settle_kernels(other) == settled
    np.testing.assert_array_equal(run(other), run(settled))


def test_the_weights_lie_where_they_lay(written: bytes) -> None:
    settled = settle_kernels(written)
    assert len(settled) % 16 == 0
    assert settled[-512:] == written[-512:]


def test_no_longer_than_a_table_written_twice(written: bytes) -> None:
    once = settle_kernels(written)
    assert abs(len(settle_kernels(once)) - len(once)) <= 32
    assert len(once) < len(written) + 256


@pytest.mark.parametrize("damage", [b"", b"\0\0\0\0TFL3", Path(__file__).read_bytes()[:64]])
def test_what_is_no_ort_file_is_refused(damage: bytes) -> None:
    with pytest.raises(ValueError, match=r"expected the file identifier b'ORTM' of an \.ort file"):
        settle_kernels(damage)

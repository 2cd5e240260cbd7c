"""Kernels of an .ort file are sorted and metadata replaced, and the model stays the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from export.formats.onnx import ort_format
from export.formats.onnx.ort_format import read_kernels, read_metadata, replace_metadata, sort_kernels


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small network, as ONNX Runtime itself writes it."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(1).normal(size=(4, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Transpose", ["frame"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "weights"], ["convolved"], pads=[1, 1, 1, 1]),
        helper.make_node("HardSwish", ["convolved"], ["activated"]),
        helper.make_node("GlobalAveragePool", ["activated"], ["mean"]),
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


def test_sorting_keeps_the_kernels_and_the_predictions(written: bytes) -> None:
    sorted_model = sort_kernels(written)
    kernels = read_kernels(sorted_model)
    assert kernels == read_kernels(written)
    assert {operator.split(b":")[1] for operator, _ in kernels} >= {b"Conv", b"Transpose"}
    np.testing.assert_array_equal(run(sorted_model), run(written))


def test_the_original_order_of_kernels_does_not_matter(written: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    sorted_model, sort = sort_kernels(written), read_kernels
    with monkeypatch.context() as patch:
        patch.setattr(ort_format, "read_kernels", lambda model: sort(model)[::-1])
        other = sort_kernels(written)
    assert other != sorted_model
    assert sort_kernels(other) == sorted_model
    np.testing.assert_array_equal(run(other), run(sorted_model))


def test_weights_are_copied_unchanged_and_aligned(written: bytes) -> None:
    sorted_model = sort_kernels(written)
    assert len(sorted_model) % 16 == 0
    assert sorted_model[-512:] == written[-512:]


def test_sorting_again_does_not_grow_the_file(written: bytes) -> None:
    once = sort_kernels(written)
    assert abs(len(sort_kernels(once)) - len(once)) <= 32
    assert len(once) < len(written) + 256


def test_metadata_are_replaced_and_the_model_stays_the_same(written: bytes) -> None:
    assert read_metadata(written) == {}
    first = replace_metadata(sort_kernels(written), {"threshold": "0.5", "labels": '["a", "b"]', "description": "What"})
    second = replace_metadata(first, {"threshold": "0.8125"})
    assert read_metadata(first) == {"threshold": "0.5", "labels": '["a", "b"]', "description": "What"}
    assert read_metadata(second) == {"threshold": "0.8125"}
    assert replace_metadata(second, {"threshold": "0.8125"}) == second
    assert onnxruntime.InferenceSession(second).get_modelmeta().custom_metadata_map == {"threshold": "0.8125"}
    assert read_kernels(second) == read_kernels(written)
    np.testing.assert_array_equal(run(second), run(written))


@pytest.mark.parametrize("damage", [b"", b"\0\0\0\0TFL3", Path(__file__).read_bytes()[:64]])
def test_bytes_that_are_no_ort_file_are_refused(damage: bytes) -> None:
    with pytest.raises(ValueError, match=r"expected the file identifier b'ORTM' of an \.ort file"):
        sort_kernels(damage)

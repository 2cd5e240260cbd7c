"""Each damaged model is damaged only in the way its name says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from benchmarks.experiment_harness.course import CHECKPOINT, ROWS, StageFolder
from benchmarks.experiments.gate_power import damaged_models
from benchmarks.experiments.gate_power.damaged_models import (
    INT8,
    PAIRS,
    SLOWER,
    SOUND,
    ModelPairsConfig,
    Strengths,
)
from pipeline.data.preprocess import PreprocessSpec
from pipeline.data.records import Image
from pipeline.data.storage import read_rows, write_rows
from pipeline.train.backbone import build_network
from pipeline.train.model import CheckpointConfig, load_checkpoint, predict, save_checkpoint

LABELS = ("helmet", "no_helmet")
FRAMES = np.random.default_rng(2).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def models(tmp_path: Path) -> ModelPairsConfig:
    def open_folder(name: str) -> StageFolder:
        return StageFolder(tmp_path / name, Path("policies/helmet.yaml"))

    return ModelPairsConfig(tmp_path / "data", open_folder, Strengths(), ())


@pytest.fixture
def sound(models: ModelPairsConfig) -> CheckpointConfig:
    config = CheckpointConfig(
        backbone="mobilenetv3_small_050",
        padding="symmetric",
        labels=LABELS,
        preprocess=PreprocessSpec(input_size=(32, 32), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        threshold=0.4,
        checkpoint_id="",
        dataset_id="",
    )
    network = build_network(config.backbone, 2)
    for name, weights in network.named_parameters():
        if name.startswith("classifier"):
            weights.data.normal_(std=0.5)
    return save_checkpoint(models.path(SOUND) / CHECKPOINT, network, config)


def probabilities(models: ModelPairsConfig, name: str) -> np.ndarray:
    return predict(load_checkpoint(models.path(name) / CHECKPOINT), FRAMES)


def test_rewritten_checkpoints_differ_as_their_names_say(models: ModelPairsConfig, sound: CheckpointConfig) -> None:
    for name in damaged_models.REWRITTEN:
        damaged_models._rewrite_checkpoint(models, name)
    before = probabilities(models, SOUND)
    np.testing.assert_array_equal(probabilities(models, "reexported"), before)
    np.testing.assert_allclose(probabilities(models, "labels_swapped"), before[:, ::-1], atol=1e-6)
    slightly, jittered = (
        np.abs(probabilities(models, name) - before).max() for name in ("jittered_slightly", "jittered")
    )
    assert 0 < slightly < 0.01
    assert jittered > 5 * slightly
    bare = load_checkpoint(models.path("normalisation_dropped") / CHECKPOINT).config
    assert (bare.preprocess.mean, bare.preprocess.std) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    assert bare.checkpoint_id == sound.checkpoint_id, "the weights must be those of the sound model"
    assert np.abs(probabilities(models, "normalisation_dropped") - before).max() > 1e-4


def rows(count: int) -> list[Image]:
    def image(at: int) -> Image:
        light = "night" if at % 4 == 0 else "day"
        place = {"shard": "s", "offset": 0, "size_bytes": 1, "sha256": "", "width": 1, "height": 1}
        return Image(id=f"{at}", group=f"{at}", label=LABELS[at % 2], factors={"light": light}, **place)

    return [image(at) for at in range(count)]


def test_training_rows_lose_a_slice_or_change_labels(models: ModelPairsConfig) -> None:
    for place in ROWS:
        write_rows(models.data / place, rows(400))
    for name in damaged_models.TRAINED:
        damaged_models._damage_rows(models, name)
    flipped = read_rows(models.path("labels_flipped") / ROWS[0], Image)
    share = np.mean([new.label != old.label for new, old in zip(flipped, rows(400), strict=True)])
    assert share == pytest.approx(0.3, abs=0.07)
    for place in ROWS:
        kept = read_rows(models.path("night_dropped") / place, Image)
        assert len(kept) == 300
        assert {image.factors["light"] for image in kept} == {"day"}


def test_a_slower_graph_has_more_nodes_and_gives_the_same_outputs(models: ModelPairsConfig) -> None:
    weights = np.random.default_rng(1).normal(size=(4, 3, 3, 3)).astype(np.float32)
    frame = onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, 3, 8, 8])
    out = onnx.helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, [1, 4, 6, 6])
    nodes = [
        onnx.helper.make_node("Conv", ["image", "w"], ["inner"]),
        onnx.helper.make_node("Relu", ["inner"], ["out"]),
    ]
    graph = onnx.helper.make_graph(nodes, "g", [frame], [out], [onnx.numpy_helper.from_array(weights, "w")])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    models.model(SOUND).parent.mkdir(parents=True)
    onnx.save(model, str(models.model(SOUND)))
    damaged_models._slow_down(models, SLOWER)
    slower = onnx.load(str(models.model(SLOWER)))
    assert [node.op_type for node in slower.graph.node] == ["Conv", *["Mul"] * 32, "Relu"]
    pixels = np.random.default_rng(3).normal(size=(1, 3, 8, 8)).astype(np.float32)
    outputs = [
        onnxruntime.InferenceSession(str(models.model(name))).run(None, {"image": pixels})[0]
        for name in (SOUND, SLOWER)
    ]
    np.testing.assert_allclose(outputs[0], outputs[1], rtol=1e-6)


def test_there_are_at_least_eight_pairs_with_two_baselines() -> None:
    assert len(PAIRS) >= 8
    assert set(PAIRS.values()) == {SOUND, INT8}
    assert set(damaged_models.HARMLESS) < set(PAIRS)

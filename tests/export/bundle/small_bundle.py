"""A small bundle: arbitrary bytes, to test what is checked before a model is opened, or a model of six operations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from export.bundle.checksums import write_sums
from export.bundle.contract import Contract, GoldenVectors, contract_artifact
from export.decision import Decision, decision_metadata
from pipeline.data.hashing import sha256_of, size_of
from pipeline.data.preprocess import encode_png
from pipeline.data.storage import write_json
from tests.benchmarks.small_task import artifact
from tests.export.tiny import LABELS

DECISION = Decision(0.5, (0.3, 0.9))
MODELS = {"onnx-float32": "onnx/float32.onnx", "coreml-float16": "coreml/float16.mlpackage"}


def write_small_bundle(
    root: Path,
    contents: Mapping[str, bytes] = MappingProxyType({}),
    probabilities: tuple[float, float] = (0.25, 0.75),
) -> Path:
    """Write release/helmet-1.2.0 with an ONNX file and a Core ML package.

    Args:
        root: Folder to write into.
        contents: File -> its bytes; those of the others are arbitrary.
        probabilities: Expected of both artifacts on the one golden frame, which is black.
    """
    bundle = root / "helmet-1.2.0"
    for name in ("onnx/float32.onnx", "coreml/float16.mlpackage/Data/weights.bin", "coreml/float16.mlpackage/M.json"):
        (bundle / name).parent.mkdir(parents=True, exist_ok=True)
        (bundle / name).write_bytes(contents.get(name, name.encode()))
    artifacts = []
    for name, file in MODELS.items():
        facts = {
            "sha256": sha256_of(bundle / file),
            "size_bytes": size_of(bundle / file),
            "retake_band": DECISION.retake_band,
        }
        record = artifact(*name.split("-")).model_copy(update=facts)
        artifacts.append(contract_artifact(record, file))
        vectors = GoldenVectors(
            artifact=name, runtime="any", inputs=("00.png",), probabilities=(probabilities,), tolerance=1e-4
        )
        (bundle / "golden").mkdir(exist_ok=True)
        write_json(bundle / "golden" / f"{name}.json", vectors)
    (bundle / "golden" / "00.png").write_bytes(encode_png(np.zeros((8, 6, 3), np.uint8)))
    labels = artifacts[0].labels
    contract = Contract(name="helmet", version="1.2.0", question="?", labels=labels, artifacts=tuple(artifacts))
    write_json(bundle / "contract.json", contract)
    (bundle / "MODEL_CARD.md").write_text("# helmet\n", encoding="utf-8")
    (bundle / "snippets").mkdir()
    (bundle / "snippets" / "Classifier.kt").write_text("class Classifier\n", encoding="utf-8")
    write_sums(bundle)
    return bundle


def brightness_model() -> bytes:
    """An ONNX artifact whose probability of the positive label is the mean brightness."""
    import onnx
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["pixels"], ["row"]),
        helper.make_node("ReduceMean", ["row"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Div", ["mean", "largest"], ["positive"]),
        helper.make_node("Sub", ["one", "positive"], ["other"]),
        helper.make_node("Concat", ["other", "positive"], ["probs"], axis=1),
    ]
    constants = [
        helper.make_tensor(name, TensorProto.FLOAT, (1,), [value]) for name, value in (("largest", 255), ("one", 1))
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, (1, 8, 6, 3))
    probs = helper.make_tensor_value_info("probs", TensorProto.FLOAT, (1, 2))
    graph = helper.make_graph(nodes, "brightness", [image], [probs], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.helper.set_model_props(model, decision_metadata({}, LABELS, DECISION))
    return bytes(model.SerializeToString())


def rewrite(path: Path, change: dict[str, object], *place: str | int) -> None:
    """Change values of a JSON file, below a place in it."""
    values = json.loads(path.read_text(encoding="utf-8"))
    at = values
    for key in place:
        at = at[key]
    at |= change
    path.write_text(json.dumps(values), encoding="utf-8")

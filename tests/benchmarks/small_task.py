"""A task whose figures can be computed by hand: light frames are helmets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.data.preprocess import PreprocessSpec
from pipeline.data.records import Artifact, Tensor

LABELS = ("no_helmet", "helmet")
SPEC = PreprocessSpec(input_size=(8, 6))
NAMES = ("coreml-float16", "onnx-float32", "tflite-float32", "tflite-static_wi8_ai8")


def brightness(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A hand-made classifier: the brighter the frame, the higher the probability of a helmet."""
    share = 1 / (1 + np.exp(-(float(frame.mean()) - 130) / 10))
    return np.array([1 - share, share], np.float32)


def artifact(format_name: str, recipe: str) -> Artifact:
    frame = Tensor(name="image", shape=(1, 8, 6, 3), dtype="uint8", layout="NHWC", range=(0, 255), meaning="frame")
    answer = Tensor(name="probs", shape=(1, 2), dtype="float32", layout="NC", range=(0, 1), meaning="probabilities")
    return Artifact(
        id=f"{format_name}-{recipe}",
        format=format_name,
        recipe=recipe,
        file=f"model.{format_name}",
        sha256="0" * 64,
        size_bytes=1234,
        input=frame,
        output=answer,
        labels=LABELS,
        threshold=0.5,
        retake_band=None,
        preprocess=SPEC.model_dump(mode="json"),
        tools={},
        checkpoint_id="c" * 64,
        dataset_id="d" * 64,
    )

"""A task whose figures can be computed by hand: light frames are helmets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation.inference import EvaluationSet, Reference, Runtimes
from benchmarks.evaluation.selfie_sets import CARD, SelfieFolder, SelfieSetCard, set_folder
from benchmarks.latency.preprocessing import PreprocessTiming
from benchmarks.latency.single_artifact import LatencyRequest, Timing
from pipeline.data.preprocess import PreprocessSpec, encode_png
from pipeline.data.records import Artifact, Image, Tensor
from pipeline.data.shards import Encoded, write_images
from pipeline.data.storage import write_json

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


def write_selfies(folder: Path) -> list[Image]:
    """Forty selfies: helmets are light, bare heads dark; in a tenth of each it is the reverse."""
    random = np.random.default_rng(3)
    images = []
    for i in range(40):
        label = LABELS[i % 2]
        bright = (label == "helmet") != (i >= 36)
        pixels = random.integers(140 if bright else 20, 240 if bright else 120, (8, 6, 3), dtype=np.uint8)
        factors = {"light": "night" if i < 10 else "day", "scenario": "street" if i % 4 < 2 else "indoors"}
        images.append(Encoded(f"selfie-{i}", f"selfie-{i // 2}", label, factors, encode_png(pixels), 6, 8))
    return write_images(folder, images, 25)


def write_photographs(folder: Path, name: str = "street", *, factors: bool = True, wrong: int = 8) -> SelfieFolder:
    """A test set of twenty photographs, the first ``wrong`` of which the classifier decides wrongly."""
    random = np.random.default_rng(5)
    images = []
    for i in range(20):
        label = LABELS[i % 2]
        bright = (label == "helmet") != (i < wrong)
        pixels = random.integers(140 if bright else 20, 240 if bright else 120, (8, 6, 3), dtype=np.uint8)
        known = {"light": "night" if i < 10 else "day"} if factors else {}
        key = f"selfie-{name}-{label}-{i}"
        images.append(Encoded(key, key, label, known, encode_png(pixels), 6, 8))
    own = set_folder(folder, name)
    rows = write_images(own, images, 25)
    card = SelfieSetCard(name=name, source="photos", licence="our own", note="in May")
    write_json(own / CARD, card)
    return SelfieFolder(card, own, rows)


def small_evaluation_set(folder: Path, rows: list[Image]) -> EvaluationSet:
    reference = Reference("c" * 64, LABELS, 0.5, SPEC, lambda batch: np.stack([brightness(frame) for frame in batch]))
    artifacts = [(Path(name), artifact(*name.split("-"))) for name in NAMES]
    return EvaluationSet(reference, artifacts, folder, rows)


def small_runtimes() -> Runtimes:
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

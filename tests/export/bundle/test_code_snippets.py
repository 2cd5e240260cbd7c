"""Snippets are for the artifact that is best for a phone, decide as the policy does, and take any picture."""

from __future__ import annotations

from pathlib import Path

import pytest

from export.bundle.card_figures import CardFigures
from export.bundle.code_snippets import best_for_phone, write_snippets
from export.bundle.contract import Contract, ContractArtifact
from pipeline.data.storage import read_json
from tests.benchmarks.evaluation.measurements import artifact_figures, full_measurement
from tests.export.bundle.figures import TIMING
from tests.export.bundle.small_bundle import write_small_bundle

FORMATS = ("coreml", "executorch", "tflite")
SWIFT = ("Classifier.swift", "ExecutorchClassifier.swift")
KOTLIN = ("Classifier.kt", "ExecutorchClassifier.kt")


@pytest.fixture
def artifact(tmp_path: Path) -> ContractArtifact:
    return read_json(write_small_bundle(tmp_path) / "contract.json", Contract).artifacts[0]


def of_format(artifact: ContractArtifact, name: str, recipe: str = "float32", **changes: object) -> ContractArtifact:
    own = {"id": f"{name}-{recipe}", "format": name, "recipe": recipe, "file": f"{name}/{recipe}.{name}"}
    return artifact.model_copy(update={**own, **changes})


def figures(agreement: dict[str, float], latency_ms: dict[str, float]) -> CardFigures:
    rows = {}
    for name, share in agreement.items():
        rows[name] = artifact_figures(*name.split("-")).model_copy(update={"agreement": share})
    timings = {name: TIMING.model_copy(update={"latency_p50_ms": time}) for name, time in latency_ms.items()}
    return CardFigures(full_measurement().model_copy(update={"artifacts": rows}), timings)


def test_the_best_artifact_agrees_most_then_is_fastest_then_smallest(artifact: ContractArtifact) -> None:
    exact = of_format(artifact, "tflite", "float32", size_bytes=300)
    half = of_format(artifact, "tflite", "float16", size_bytes=200)
    small = of_format(artifact, "tflite", "static_wi8_ai8", size_bytes=100)
    every = [exact, half, small]
    agreement = {exact.id: 1.0, half.id: 1.0, small.id: 0.99}
    assert best_for_phone(every, figures(agreement, {exact.id: 0.87, half.id: 0.49, small.id: 0.1})) == half
    assert best_for_phone(every, figures(agreement, {exact.id: 0.49, half.id: 0.49})) == half
    assert best_for_phone(every, figures(agreement, {exact.id: 0.49})) == exact
    assert best_for_phone(every, figures({small.id: 0.99}, {})) == small
    assert best_for_phone(every, CardFigures()) == small


def test_snippets_decide_by_threshold_and_retake_band(artifact: ContractArtifact) -> None:
    changes = {"threshold": 0.8625, "retake_band": (0.25, 0.96875)}
    every = [of_format(artifact, name, **changes) for name in FORMATS]
    texts = write_snippets(every, CardFigures())
    for swift in (texts[name] for name in SWIFT):
        assert "static let threshold = 0.8625000  //" in swift
        assert "retakeBand: (low: Double, high: Double)? = (0.2500000, 0.9687500)  //" in swift
        assert "static func decide(_ probabilities: [Double]) -> Decision" in swift
        assert "positive > band.low, positive < band.high { return .retake }" in swift
    for kotlin in (texts[name] for name in KOTLIN):
        assert "const val THRESHOLD = 0.8625000f  //" in kotlin
        assert "RETAKE_BAND: Pair<Float, Float>? = Pair(0.2500000f, 0.9687500f)  //" in kotlin
        assert "fun decide(picture: Bitmap): Decision" in kotlin
        assert "positive >= THRESHOLD -> 1" in kotlin
    never = [each.model_copy(update={"retake_band": None}) for each in every]
    texts = write_snippets(never, CardFigures())
    assert all("retakeBand: (low: Double, high: Double)? = nil  //" in texts[name] for name in SWIFT)
    assert all("RETAKE_BAND: Pair<Float, Float>? = null  //" in texts[name] for name in KOTLIN)


def test_snippets_take_pictures_of_any_size_as_the_preprocessing_says(artifact: ContractArtifact) -> None:
    for fit, swift, kotlin in (("crop", "centerCrop", "maxOf"), ("pad", "scaleFit", "minOf")):
        preprocess = artifact.preprocess.model_copy(update={"fit": fit})
        every = [of_format(artifact, name, preprocess=preprocess) for name in FORMATS]
        texts = write_snippets(every, CardFigures())
        assert f"VNImageCropAndScaleOption.{swift}.rawValue" in texts["Classifier.swift"]
        drawn = kotlin.removesuffix("Of")
        assert f"{drawn}(CGFloat(Self.width) / size.width, CGFloat(" in texts["ExecutorchClassifier.swift"]
        assert "precondition(" not in texts["ExecutorchClassifier.swift"]
        for text in (texts[name] for name in KOTLIN):
            assert f"{kotlin}(WIDTH / picture.width.toFloat(), HEIGHT / picture.height.toFloat())" in text
            assert "require(" not in text


def test_snippets_name_input_output_and_labels_of_the_model(artifact: ContractArtifact) -> None:
    texts = write_snippets([of_format(artifact, name) for name in FORMATS], CardFigures())
    swift, kotlin = texts["Classifier.swift"], texts["Classifier.kt"]
    assert 'static let labels = ["no_helmet", "helmet"]' in swift
    assert "pixelsWide: 6, pixelsHigh: 8" in swift
    assert 'dictionary: ["image": image]' in swift
    assert 'featureValue(for: "probs")' in swift
    assert "dictionaryValue[$0]" in swift
    assert "const val HEIGHT = 8" in kotlin
    assert 'listOf("no_helmet", "helmet")' in kotlin
    for text in texts.values():
        assert all(text.count(opening) == text.count(closing) for opening, closing in ("{}", "()", "[]"))
        assert "$$" not in text

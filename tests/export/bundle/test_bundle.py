"""The release bundle is complete and verifiable, and damage is found."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from export.bundle.bundle import BundleContent, build, gather, verify
from export.bundle.card_figures import CardFigures
from export.bundle.code_snippets import write_snippets
from export.convert import ConvertRows
from export.formats import format_names
from pipeline.data.decoding.decode import decode
from pipeline.data.hashing import files_of
from pipeline.errors import DataError, ModelError
from tests.export.bundle.figures import TIMING, measurement_of_two_slices
from tests.export.conftest import Convert
from tests.export.tiny import RECIPES, draw_frames

FIGURES = CardFigures(measurement_of_two_slices(), {"onnx-float32": TIMING}, "pass")


@dataclass(frozen=True)
class HelmetPolicy:
    name: str = "helmet"
    question: str = "Does the rider wear a helmet?"


@pytest.fixture(scope="session")
def built(convert: Convert, tmp_path_factory: pytest.TempPathFactory) -> Path:
    content = BundleContent(
        name="helmet",
        version="1.2.0",
        question=HelmetPolicy().question,
        folders=tuple(convert(name)[1] for name in format_names()),
        frames=draw_frames(12, 8),
        figures=FIGURES,
    )
    return build(content, tmp_path_factory.mktemp("release"))


@pytest.fixture
def bundle(built: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(built, tmp_path / built.name))


def problems(bundle: Path) -> dict[str, str]:
    return {finding.file: finding.problem for finding in verify(bundle)}


def test_a_bundle_holds_every_artifact_and_the_files_that_go_with_them(built: Path) -> None:
    assert built.name == "helmet-1.2.0"
    assert {path.name for path in built.iterdir()} == {
        *format_names(),
        "contract.json",
        "golden",
        "snippets",
        "MODEL_CARD.md",
        "SHA256SUMS",
    }
    contract = json.loads((built / "contract.json").read_text())
    assert [artifact["id"] for artifact in contract["artifacts"]] == [
        f"{name}-{recipe}" for name in format_names() for recipe in RECIPES[name]
    ]
    assert all((built / artifact["file"]).exists() for artifact in contract["artifacts"])
    assert contract["question"] == "Does the rider wear a helmet?"


def test_an_intact_bundle_has_no_defects(built: Path) -> None:
    assert verify(built) == []


def test_golden_inputs_are_eight_frames_at_the_input_size(built: Path) -> None:
    images = sorted((built / "golden").glob("*.png"))
    assert len(images) == 8
    np.testing.assert_array_equal(decode(images[0].read_bytes()), draw_frames(12, 8)[0])
    golden = json.loads((built / "golden" / "tflite-static_wi8_ai8.json").read_text())
    assert golden["runtime"] == "LiteRT"
    assert np.array(golden["probabilities"]).shape == (8, 2)


def test_checksums_are_in_the_form_of_sha256sum(built: Path) -> None:
    lines = (built / "SHA256SUMS").read_text().splitlines()
    for line in lines:
        digest, name = line.split("  ")
        assert hashlib.sha256((built / name).read_bytes()).hexdigest() == digest
    assert len(lines) == len(files_of(built)) - 1


def test_the_same_content_gives_the_same_bundle(built: Path, convert: Convert, tmp_path: Path) -> None:
    content = BundleContent(
        name="helmet",
        version="1.2.0",
        question=HelmetPolicy().question,
        folders=tuple(convert(name)[1] for name in format_names()),
        frames=draw_frames(12, 8),
        figures=FIGURES,
    )
    assert (build(content, tmp_path) / "SHA256SUMS").read_bytes() == (built / "SHA256SUMS").read_bytes()


def test_one_flipped_bit_is_found(bundle: Path) -> None:
    model = bundle / "onnx" / "float32.onnx"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 0x40
    model.write_bytes(content)
    reasons = [finding.problem for finding in verify(bundle) if finding.file == "onnx/float32.onnx"]
    assert "differs from the file listed in SHA256SUMS; pull the bundle again" in reasons


def test_a_missing_file_and_an_unknown_one_are_found(bundle: Path) -> None:
    (bundle / "golden" / "03.png").unlink()
    (bundle / "tflite" / "extra.bin").write_bytes(b"?")
    defects = problems(bundle)
    assert defects["golden/03.png"] == "missing; listed in SHA256SUMS"
    assert defects["tflite/extra.bin"] == "not listed in SHA256SUMS"


def test_an_artifact_with_other_predictions_is_found_even_if_the_checksums_are_updated(bundle: Path) -> None:
    golden = bundle / "golden" / "coreml-wi8.json"
    vectors = json.loads(golden.read_text())
    vectors["probabilities"][2] = vectors["probabilities"][2][::-1]
    golden.write_text(json.dumps(vectors))
    sums = [
        f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.relative_to(bundle).as_posix()}\n"
        for f in files_of(bundle)
        if f.name != "SHA256SUMS"
    ]
    (bundle / "SHA256SUMS").write_text("".join(sums))
    defects = problems(bundle)
    assert list(defects) == ["coreml/wi8.mlpackage"]
    assert "from its golden predictions; expected at most 0.05" in defects["coreml/wi8.mlpackage"]


def test_a_truncated_artifact_and_a_damaged_contract_are_defects(bundle: Path) -> None:
    model = bundle / "tflite" / "float32.tflite"
    model.write_bytes(model.read_bytes()[:1000])
    assert any("cut short" in finding.problem for finding in verify(bundle))
    (bundle / "contract.json").write_text("{}")
    assert "not a Contract" in str(verify(bundle))


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no bundle: SHA256SUMS or contract\.json is missing"):
        verify(tmp_path)
    with pytest.raises(ModelError, match="no bundle"):
        verify(tmp_path / "nowhere")


def test_an_artifact_that_is_not_the_measured_one_is_not_bundled(convert: Convert, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(convert("onnx")[1], tmp_path / "onnx"))
    (folder / "float32.onnx").write_bytes(b"other")
    content = BundleContent("helmet", "1", "", (folder,), draw_frames(2, 1), CardFigures())
    with pytest.raises(ModelError, match=r"float32\.onnx: missing, or differs from the one that artifact\.json"):
        build(content, tmp_path / "release")
    assert list((tmp_path / "release").iterdir()) == []


def test_the_content_of_a_bundle_is_read_from_the_outputs_of_the_stages(
    convert: Convert, rows: ConvertRows, tmp_path: Path
) -> None:
    artifacts = tmp_path / "artifacts"
    shutil.copytree(convert("onnx")[1], artifacts / "onnx")
    content = gather(HelmetPolicy(), "2.0.0", artifacts, rows.images, FIGURES)
    assert content.folders == (artifacts / "onnx",)
    assert content.frames.shape == (8, 64, 48, 3)
    assert content.figures is FIGURES
    with pytest.raises(DataError, match=r"no FORMAT/artifact\.json; run dvc repro convert"):
        gather(HelmetPolicy(), "2.0.0", tmp_path / "nowhere", rows.images, FIGURES)


def test_the_card_prints_figures_or_that_they_were_not_measured(built: Path) -> None:
    card = (built / "MODEL_CARD.md").read_text()
    lines = {line.split(" | ")[0].strip("| "): line for line in card.splitlines() if line.startswith("| ")}
    row = "| 0.9375 | 0.91 | 0.96 | 0.02 | not measured | 0.99 | not measured | not measured | 1.25 | 1.5 |"
    assert row in lines["onnx/float32.onnx"]
    assert lines["coreml/float16.mlpackage"].count("not measured") == 10
    assert "| light: night | 0.81 | 120 |\n| light: day | 0.99 | 400 |" in card
    assert "light: dusk" not in card
    assert "95 % interval" in card
    assert "**Verdict of the gate**: pass" in card
    assert "48 x 64 pixels (portrait)" in card


def test_snippets_are_for_the_smallest_artifact_that_decides_as_the_checkpoint_does(
    convert: Convert,
) -> None:
    artifacts = convert("tflite")[0].artifacts.artifacts
    by_size = sorted(artifacts, key=lambda artifact: artifact.size_bytes)
    agreement = {artifact.id: 0.995 for artifact in by_size[1:]} | {by_size[0].id: 0.98}
    assert f"Put {by_size[1].file} into" in write_snippets(artifacts, agreement)["Classifier.kt"]
    assert f"Put {by_size[0].file} into" in write_snippets(artifacts, {})["Classifier.kt"]


def test_snippets_state_threshold_and_retake_band(convert: Convert) -> None:
    changes = {"threshold": 0.8625, "retake_band": (0.25, 0.96875)}
    artifacts = [convert(name)[0].artifacts.artifacts[0].model_copy(update=changes) for name in ("coreml", "tflite")]
    texts = write_snippets(artifacts, {})
    assert "static let threshold = 0.8625000  //" in texts["Classifier.swift"]
    assert "retakeBand: (low: Double, high: Double)? = (0.2500000, 0.9687500)  //" in texts["Classifier.swift"]
    assert "const val THRESHOLD = 0.8625000f  //" in texts["Classifier.kt"]
    assert "RETAKE_BAND: Pair<Float, Float>? = Pair(0.2500000f, 0.9687500f)  //" in texts["Classifier.kt"]
    never = [artifact.model_copy(update={"retake_band": None}) for artifact in artifacts]
    texts = write_snippets(never, {})
    assert "retakeBand: (low: Double, high: Double)? = nil  //" in texts["Classifier.swift"]
    assert "RETAKE_BAND: Pair<Float, Float>? = null  //" in texts["Classifier.kt"]


def test_snippets_name_input_output_and_labels_of_the_model(built: Path) -> None:
    swift = (built / "snippets" / "Classifier.swift").read_text()
    assert 'static let labels = ["no_helmet", "helmet"]' in swift
    assert "pixelsWide: 48, pixelsHigh: 64" in swift
    assert 'dictionary: ["image": image]' in swift
    assert 'featureValue(for: "probs")' in swift
    assert "dictionaryValue[$0]" in swift
    kotlin = (built / "snippets" / "Classifier.kt").read_text()
    assert "const val HEIGHT = 64" in kotlin
    assert 'listOf("no_helmet", "helmet")' in kotlin
    assert '"expected ${WIDTH}x$HEIGHT"' in kotlin

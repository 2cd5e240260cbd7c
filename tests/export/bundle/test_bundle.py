"""The release bundle is complete and verifiable, and damage is found."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from export.bundle.bundle import BundleContent, build, gather
from export.bundle.card_figures import CardFigures
from export.bundle.checksums import write_sums
from export.bundle.verify import verify
from export.convert import ConvertRows
from export.formats import format_names
from pipeline.data.decoding.decode import decode
from pipeline.data.hashing import files_of, sha256_of, size_of
from pipeline.errors import DataError, ModelError, UsageError
from tests.export.bundle.figures import TIMING, measurement_of_two_slices
from tests.export.bundle.small_bundle import rewrite
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
    return build(content, tmp_path_factory.mktemp("release")).path


@pytest.fixture
def bundle(built: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(built, tmp_path / built.name))


def problems(bundle: Path) -> dict[str, str]:
    return {finding.file: finding.problem for finding in verify(bundle).findings}


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
    verification = verify(built)
    assert (verification.findings, verification.not_run) == ((), ())
    assert verification.run == tuple(f"{name}-{recipe}" for name in format_names() for recipe in RECIPES[name])


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


def test_the_same_content_gives_the_same_bundle(convert: Convert, tmp_path: Path) -> None:
    content = BundleContent("helmet", "1.2.0", "?", (convert("onnx")[1],), draw_frames(12, 8), FIGURES)
    first, second = (build(content, tmp_path / name) for name in ("first", "second"))
    assert (first.path / "SHA256SUMS").read_bytes() == (second.path / "SHA256SUMS").read_bytes()
    assert first.digest == second.digest == sha256_of(first.path / "SHA256SUMS")


def test_one_flipped_bit_is_found(bundle: Path) -> None:
    model = bundle / "onnx" / "float32.onnx"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 0x40
    model.write_bytes(content)
    assert problems(bundle) == {
        "onnx/float32.onnx": "differs from the file listed in SHA256SUMS; pull the bundle again"
    }


def test_a_missing_file_and_an_unknown_one_are_found(bundle: Path) -> None:
    (bundle / "golden" / "03.png").unlink()
    (bundle / "tflite" / "extra.bin").write_bytes(b"?")
    defects = problems(bundle)
    assert defects["golden/03.png"] == "missing; listed in SHA256SUMS"
    assert defects["tflite/extra.bin"] == "not listed in SHA256SUMS"


def keep_only(bundle: Path, name: str) -> Path:
    """Remove all artifacts except one, and return its path."""
    contract = json.loads((bundle / "contract.json").read_text())
    (artifact,) = (each for each in contract["artifacts"] if each["id"] == name)
    contract["artifacts"] = [artifact]
    (bundle / "contract.json").write_text(json.dumps(contract))
    model = bundle / artifact["file"]
    for path in bundle.glob("*/*"):
        if path.parent.name in format_names() and path != model:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for folder in format_names():
        if not any((bundle / folder).iterdir()):
            (bundle / folder).rmdir()
    for path in (bundle / "golden").glob("*.json"):
        if path.stem != name:
            path.unlink()
    write_sums(bundle)
    return model


def test_an_artifact_with_other_predictions_is_found_even_if_the_checksums_are_updated(bundle: Path) -> None:
    keep_only(bundle, "onnx-static_wi8_ai8")
    golden = bundle / "golden" / "onnx-static_wi8_ai8.json"
    vectors = json.loads(golden.read_text())
    vectors["probabilities"][2] = vectors["probabilities"][2][::-1]
    golden.write_text(json.dumps(vectors))
    write_sums(bundle)
    defects = problems(bundle)
    assert list(defects) == ["onnx/static_wi8_ai8.onnx"]
    assert "from its golden predictions; expected at most 0.05" in defects["onnx/static_wi8_ai8.onnx"]


@pytest.mark.parametrize("name", ["onnx-float32", "onnx-float32_ort", "tflite-float32"])
def test_a_damaged_model_is_a_defect_even_if_contract_and_checksums_are_updated(bundle: Path, name: str) -> None:
    """Damaged models of the other formats are tested in tests/export/formats, where no process is started for them."""
    model = keep_only(bundle, name)
    model.write_bytes(model.read_bytes()[: model.stat().st_size // 2])
    rewrite(bundle / "contract.json", {"sha256": sha256_of(model), "size_bytes": size_of(model)}, "artifacts", 0)
    write_sums(bundle)
    assert list(problems(bundle)) == [model.relative_to(bundle).as_posix()]


def test_an_artifact_that_is_not_the_measured_one_is_not_bundled(convert: Convert, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(convert("onnx")[1], tmp_path / "onnx"))
    (folder / "float32.onnx").write_bytes(b"other")
    content = BundleContent("helmet", "1.0.0", "", (folder,), draw_frames(2, 1), CardFigures())
    with pytest.raises(ModelError, match=r"float32\.onnx: missing, or differs from the one that artifact\.json"):
        build(content, tmp_path / "release")
    assert list((tmp_path / "release").iterdir()) == []


def test_a_release_replaces_an_earlier_bundle_but_nothing_of_somebody_else(bundle: Path, tmp_path: Path) -> None:
    content = BundleContent("helmet", "1.2.0", "", (tmp_path / "nowhere",), draw_frames(2, 1), CardFigures())
    with pytest.raises(DataError, match=r"nowhere/artifact\.json: missing"):
        build(content, tmp_path)
    (bundle / "golden" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"helmet-1\.2\.0: not a folder that Gossamer wrote: it holds 'golden/notes"):
        build(content, tmp_path)
    assert (bundle / "golden" / "notes.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("version", ["../victim", "x/../../victim", "/victim", "1.2.0/..", "1.2.0\n", "", "v1.2.0"])
def test_no_version_leaves_the_folder_of_releases(version: str, tmp_path: Path) -> None:
    content = BundleContent("helmet", version, "", (tmp_path,), draw_frames(2, 1), CardFigures())
    with pytest.raises(UsageError, match="expected a semantic version"):
        build(content, tmp_path / "release")
    assert not (tmp_path / "release").exists()


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
    assert "an app that normalises them as well gets wrong answers" in card

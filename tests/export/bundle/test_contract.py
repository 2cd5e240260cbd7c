"""An edited bundle whose SHA256SUMS was written again is found by what its files say of each other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from export.bundle.checksums import write_sums
from export.bundle.contract import Contract, check_interface, check_version
from export.bundle.verify import verify
from export.decision import Decision
from export.formats import Interface
from pipeline.data.storage import read_json
from pipeline.errors import ModelError, UsageError
from tests.export.bundle.small_bundle import rewrite, write_small_bundle

FIRST = ("artifacts", 0)
EDITS: dict[str, tuple[dict[str, object], tuple[str | int, ...], str]] = {
    "threshold out of the band": ({"threshold": 0.001}, FIRST, "expected it in between"),
    "threshold above 1": ({"threshold": 1.5}, FIRST, "threshold"),
    "band turned round": ({"retake_band": [0.9, 0.3]}, FIRST, "expected it in between"),
    "zeroed sha256": ({"sha256": "0" * 64}, FIRST, "its SHA-256 is"),
    "another size": ({"size_bytes": 3}, FIRST, "bytes; contract.json has 3"),
    "swapped labels": ({"labels": ["helmet", "no_helmet"]}, (), "expected the artifacts'"),
    "swapped labels of one": ({"labels": ["helmet", "no_helmet"]}, FIRST, "different labels"),
    "doubled label": ({"labels": ["helmet", "helmet"]}, FIRST, "expected each once"),
    "no artifacts": ({"artifacts": []}, (), "artifacts"),
    "file outside": ({"file": "../outside.onnx"}, FIRST, "file"),
    "file in a folder above": ({"file": "onnx/../../outside.onnx"}, FIRST, "file"),
    "absolute file": ({"file": "/etc/hostname"}, FIRST, "file"),
    "missing file": ({"file": "onnx/other.onnx"}, FIRST, "onnx/other.onnx: missing; listed in contract.json"),
    "file of another format": ({"file": "tflite/float32.onnx"}, FIRST, "expected onnx-float32 in onnx/"),
    "another id": ({"id": "onnx-float16"}, FIRST, "expected onnx-float32"),
    "another shape": ({"shape": [1, 9, 6, 3]}, (*FIRST, "input"), "expected (1, 8, 6, 3)"),
    "another output": ({"shape": [1, 3]}, (*FIRST, "output"), "one probability per label"),
    "mean and std": ({"mean": [0.5, 0.5, 0.5]}, (*FIRST, "preprocess"), "mean"),
    "a version that is a path": ({"version": "x/../../y"}, (), "version"),
    "an unknown key": ({"more": 1}, (), "more"),
}
GOLDEN: dict[str, tuple[dict[str, object], str]] = {
    "tolerance 9": ({"tolerance": 9}, "tolerance 9.0; expected at most 0.0001"),
    "tolerance 0": ({"tolerance": 0}, "tolerance"),
    "of another artifact": ({"artifact": "onnx-float16"}, "of onnx-float16; expected onnx-float32"),
    "three probabilities": ({"probabilities": [[0.2, 0.3, 0.5]]}, "expected 2 that add up to 1"),
    "no sum of 1": ({"probabilities": [[0.2, 0.3]]}, "expected 2 that add up to 1"),
    "fewer rows": ({"probabilities": []}, "0 rows for 1 inputs"),
    "no inputs": ({"inputs": [], "probabilities": []}, "inputs"),
    "input outside": ({"inputs": ["../MODEL_CARD.md"]}, "inputs"),
    "missing input": ({"inputs": ["01.png"]}, "golden/01.png: missing"),
}

BAD_VERSIONS = (
    *("", "1", "1.2", "01.2.3", "v1.2.3", "latest", ".", "..", "1.0.0-", "1.0.0-..", "2024-13-01", "2024-05.31"),
    *("x/../../victim", "../1.0.0", "1.0.0/..", "/1.0.0", "1.0.0\n", " 1.0.0", "1.0.0 ", "1.0.0\x00", "\u0661.2.3"),
    f"1.0.0-{'a' * 80}",
)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_small_bundle(tmp_path)


def found(bundle: Path) -> str:
    """Findings after SHA256SUMS was written again; no model was opened."""
    write_sums(bundle)
    verification = verify(bundle)
    assert verification.run == ()
    return "\n".join(map(str, verification.findings))


@pytest.mark.parametrize("name", list(EDITS))
def test_a_contract_that_disagrees_with_the_bundle_is_refused(bundle: Path, name: str) -> None:
    change, place, problem = EDITS[name]
    rewrite(bundle / "contract.json", change, *place)
    assert problem in found(bundle)


@pytest.mark.parametrize("name", list(GOLDEN))
def test_golden_vectors_that_disagree_with_the_contract_are_refused(bundle: Path, name: str) -> None:
    change, problem = GOLDEN[name]
    rewrite(bundle / "golden" / "onnx-float32.json", change)
    assert problem in found(bundle)


@pytest.mark.parametrize("name", ["contract.json", "golden/onnx-float32.json"])
@pytest.mark.parametrize("text", ["", "{}", "[" * 5000, '{"name": NaN}', "\x00"])
def test_a_damaged_record_is_a_finding(bundle: Path, name: str, text: str) -> None:
    (bundle / name).write_text(text, encoding="utf-8")
    assert "not a " in found(bundle)


def test_a_file_that_belongs_to_nothing_is_refused(bundle: Path) -> None:
    (bundle / "onnx" / "more.onnx").touch()
    assert "onnx/more.onnx: belongs to no artifact of contract.json; a bundle has no other files" in found(bundle)


@pytest.mark.parametrize("name", ["MODEL_CARD.md", "golden/00.png"])
def test_a_part_that_every_bundle_has_must_be_there(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    assert f"{name}: missing; every bundle has it" in found(bundle)


def test_a_folder_that_is_no_bundle_is_an_error_of_the_user(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ModelError, match=r"no bundle: neither SHA256SUMS nor contract\.json"):
            verify(folder)


def test_another_digest_than_the_expected_one_is_refused(bundle: Path) -> None:
    digest = verify(bundle, "0" * 64).digest
    assert f"the bundle's digest is {digest}; expected {'0' * 64}" in str(verify(bundle, "0" * 64).findings[0])


def test_the_contract_gives_nothing_to_normalise_with(bundle: Path) -> None:
    text = (bundle / "contract.json").read_text(encoding="utf-8")
    assert '"mean"' not in text
    assert '"std"' not in text
    assert json.loads(text)["artifacts"][0]["preprocess"]["values"] == "0 to 255, not normalised"


def test_what_a_file_says_of_itself_must_be_what_the_contract_says(bundle: Path) -> None:
    artifact = read_json(bundle / "contract.json", Contract).artifacts[0]
    right = Interface("image", "uint8", "NHWC", 8, 6, "probs", artifact.labels, artifact.decision)
    assert list(check_interface(artifact, right, states_decision=True)) == []
    wrong = Interface("frame", "float32", "NCHW", 6, 8, "out", ("helmet", "no_helmet"), Decision(0.25, None))
    problems = list(check_interface(artifact, wrong, states_decision=True))
    assert len(problems) == 7
    assert "its own metadata state Decision(threshold=0.25, retake_band=None)" in problems[-1]
    silent = Interface("image", "uint8", "NHWC", 8, 6, "probs", artifact.labels)
    assert len(list(check_interface(artifact, silent, states_decision=True))) == 1
    assert list(check_interface(artifact, silent, states_decision=False)) == []


@pytest.mark.parametrize(
    "version", ["0.1.0", "1.4.0", "10.20.30", "2.0.0-rc.1", "1.0.0+build.5", "2024-05-31", "2024.05.31", "2024.05.31.2"]
)
def test_semantic_versions_and_dates_are_accepted(version: str) -> None:
    check_version(version)


@pytest.mark.parametrize("version", BAD_VERSIONS)
def test_every_other_version_is_refused_as_an_error_of_the_user(version: str) -> None:
    with pytest.raises(UsageError, match="expected a semantic version"):
        check_version(version)
    assert UsageError.exit_code == 2


def test_a_leading_v_is_named() -> None:
    with pytest.raises(UsageError, match=r"did you mean 1\.2\.3\?"):
        check_version("v1.2.3")

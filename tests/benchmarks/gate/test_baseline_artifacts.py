"""The accepted artifacts are found in git, fetched by DVC, and refused if they are other files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.gate.baseline import Accepted
from benchmarks.gate.baseline_artifacts import (
    ARTIFACTS,
    FETCHED,
    Fetched,
    check_artifacts,
    fetch,
    find_release,
    read_fetched,
)
from pipeline.data.hashing import sha256_of
from pipeline.data.records import Artifacts
from pipeline.data.storage import write_json
from pipeline.errors import DataError, ModelError
from tests.benchmarks.small_task import artifact

NAME = "onnx-float32"
STAGES = """
stages:
  convert:
    matrix: {format: [onnx]}
    cmd: "true"
    outs:
    - artifacts/${item.format}
"""


@dataclass(frozen=True)
class Checkout:
    """A checkout whose artifacts have changed since its only release, v1."""

    root: Path
    accepted: Accepted


def call(root: Path, *command: str) -> None:
    subprocess.run(command, cwd=root, check=True, capture_output=True)


def export(root: Path, content: bytes) -> str:
    folder = root / ARTIFACTS / "onnx"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    record = artifact("onnx", "float32")
    (folder / record.file).write_bytes(content)
    record = record.model_copy(update={"sha256": sha256_of(folder / record.file), "size_bytes": len(content)})
    write_json(folder / "artifact.json", Artifacts(format="onnx", artifacts=(record,)))
    return record.sha256


def accepted(revision: str, digest: str) -> Accepted:
    return Accepted(
        measure_sha256="",
        predictions_sha256="",
        selfies_dataset_id="",
        checkpoint_id="",
        release="v1",
        revision=revision,
        artifacts={NAME: digest},
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    root = tmp_path_factory.mktemp("checkout")
    dvc = (sys.executable, "-m", "dvc")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_NO_ANALYTICS", "1")
        patch.setenv("DVC_SITE_CACHE_DIR", str(root.parent / "dvc-site"))
        for role in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{role}_NAME", "A Maintainer")
            patch.setenv(f"GIT_{role}_EMAIL", "maintainer@users.noreply.example")
        call(root, "git", "init", "--quiet")
        call(root, *dvc, "init", "--quiet")
        (root / "dvc.yaml").write_text(STAGES, encoding="utf-8")
        (root / ".gitignore").write_text("/artifacts/*\n/data/*\n", encoding="utf-8")
        digest = export(root, b"the weights of v1")
        call(root, *dvc, "commit", "--quiet", "--force")
        call(root, "git", "add", "--all")
        call(root, "git", "commit", "--quiet", "--message", "v1")
        call(root, "git", "tag", "v1")
        revision = find_release(root, "v1").revision
        export(root, b"other weights")
        call(root, *dvc, "commit", "--quiet", "--force")
        call(root, "git", "commit", "--quiet", "--all", "--message", "others")
        fetch(root, accepted(revision, digest), root / "data/baseline")
        yield Checkout(root, accepted(revision, digest))


@pytest.fixture
def checkout(built: Checkout, tmp_path: Path) -> Checkout:
    """A copy that a test may change, with its DVC cache."""
    shutil.copytree(built.root, tmp_path / "checkout", symlinks=True)
    return Checkout(tmp_path / "checkout", built.accepted)


def test_the_accepted_artifacts_are_fetched_though_the_checkout_has_others(checkout: Checkout) -> None:
    models = read_fetched(checkout.root / "data/baseline", checkout.accepted)
    assert models is not None
    path, record = models[NAME]
    assert path.read_bytes() == b"the weights of v1"
    assert record.format == "onnx"
    assert (checkout.root / ARTIFACTS / "onnx" / record.file).read_bytes() == b"other weights"


def test_a_tampered_artifact_is_refused_and_named(checkout: Checkout) -> None:
    path = checkout.root / "data/baseline/artifacts/onnx/model.onnx"
    path.chmod(0o644)
    path.write_bytes(b"the weights of vl")
    with pytest.raises(DataError, match=r"artifacts/onnx/model\.onnx: not the file accepted with v1.*run gossamer"):
        read_fetched(checkout.root / "data/baseline", checkout.accepted)


def test_a_missing_artifact_is_named(checkout: Checkout) -> None:
    (checkout.root / "data/baseline/artifacts/onnx/model.onnx").unlink()
    with pytest.raises(ModelError, match=r"artifacts/onnx/model\.onnx: missing"):
        read_fetched(checkout.root / "data/baseline", checkout.accepted)
    with pytest.raises(DataError, match=r"no tflite-float32; expected every artifact that was measured; run dvc repro"):
        check_artifacts(checkout.root / ARTIFACTS, {"tflite-float32": "0" * 64}, "that was measured", "dvc repro")


def test_a_tampered_cache_is_refused_and_the_good_copy_stays(checkout: Checkout) -> None:
    for path in (checkout.root / ".dvc/cache").rglob("*"):
        if path.is_file() and path.read_bytes() == b"the weights of v1":
            path.chmod(0o644)
            path.write_bytes(b"the weights of vl")
    with pytest.raises(DataError, match=r"model\.onnx: not the file of v1"):
        fetch(checkout.root, checkout.accepted, checkout.root / "data/baseline")
    assert read_fetched(checkout.root / "data/baseline", checkout.accepted) is not None


def test_artifacts_that_dvc_cannot_get_are_an_error_that_names_the_next_command(checkout: Checkout) -> None:
    shutil.rmtree(checkout.root / ".dvc/cache/files")
    with pytest.raises(DataError, match=r"artifacts of v1 \([0-9a-f]{12}\): dvc get: .*dvc push"):
        fetch(checkout.root, checkout.accepted, checkout.root / "data/baseline")


def test_fetched_artifacts_of_another_baseline_are_ignored(checkout: Checkout) -> None:
    folder = checkout.root / "data/baseline"
    write_json(folder / FETCHED, Fetched(revision="0" * 40))
    assert read_fetched(folder, checkout.accepted) is None
    assert read_fetched(checkout.root / "nowhere", checkout.accepted) is None


def test_a_baseline_without_a_revision_cannot_be_fetched(checkout: Checkout) -> None:
    unknown = checkout.accepted.model_copy(update={"revision": ""})
    assert read_fetched(checkout.root / "data/baseline", unknown) is None
    with pytest.raises(DataError, match="no revision; expected a git commit; accept the baseline again"):
        fetch(checkout.root, unknown, checkout.root / "data/baseline")


def test_a_release_is_a_commit_whose_lock_names_the_artifacts_of_the_checkout(checkout: Checkout) -> None:
    release = find_release(checkout.root)
    assert len(release.revision) == 40
    assert release.name.startswith("v1-1-g")
    with pytest.raises(DataError, match=r"dvc\.lock: its artifacts are not those of v1 .*commit dvc\.lock"):
        find_release(checkout.root, "v1")
    with pytest.raises(DataError, match=r"v9: no revision of .*; expected a tag, branch or commit"):
        find_release(checkout.root, "v9")


def test_outside_a_git_repository_there_is_no_release(tmp_path: Path) -> None:
    assert "GIT_DIR" not in os.environ
    with pytest.raises(DataError, match="HEAD: no revision"):
        find_release(tmp_path)

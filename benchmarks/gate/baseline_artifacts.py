"""The artifacts of the accepted baseline: fetched with git and DVC, and checked before they are timed.

Reads git, dvc.lock, and DVC's cache or remote. Writes data/baseline/: artifacts/FORMAT/ of the accepted release, and
fetched.json with its revision. ``dvc get`` does not verify objects (it returns tampered ones with exit status 0), so
every file is compared with the accepted SHA-256, both when it is fetched and whenever it is read.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.evaluation.inference import artifact_name, read_artifacts
from benchmarks.gate.baseline import Accepted, Release
from pipeline.config.yaml_file import YamlError, parse_yaml
from pipeline.data.hashing import sha256_of
from pipeline.data.records import Artifact, Record
from pipeline.data.storage import atomic_folder, read_json, write_json
from pipeline.errors import DataError

ARTIFACTS = "artifacts"
FETCHED = "fetched.json"
LOCK = "dvc.lock"
FETCH = "gossamer baseline fetch"
Models = Mapping[str, tuple[Path, Artifact]]
"""Artifact -> (model file or package, its record)."""


class Fetched(Record):
    """fetched.json: the git revision whose artifacts are in data/baseline/."""

    revision: str


def find_release(root: Path, name: str = "HEAD") -> Release:
    """Find the commit whose dvc.lock names the artifacts of this checkout, so that they can be fetched again.

    Args:
        root: Root of the checkout.
        name: A tag, branch or commit.

    Raises:
        DataError: There is no such revision, or its dvc.lock names other artifacts than this checkout has.
    """
    revision = _git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    if not revision:
        raise DataError(f"{name}: no revision of {root}; expected a tag, branch or commit")
    lock = root / LOCK
    artifacts = _locked_artifacts(lock.read_text(encoding="utf-8") if lock.is_file() else "")
    if not artifacts or artifacts != _locked_artifacts(_git(root, "show", f"{revision}:{LOCK}")):
        raise DataError(
            f"{LOCK}: its artifacts are not those of {name} ({revision[:12]}), so they could not be fetched again; "
            f"commit {LOCK} (and push the artifacts: dvc push), then accept"
        )
    release = name if name != "HEAD" else _git(root, "describe", "--tags", "--always", revision)
    return Release(release, revision)


def fetch(root: Path, accepted: Accepted, out: Path) -> int:
    """Fetch the accepted artifacts with DVC, from its cache or a remote, and return their number.

    Raises:
        DataError: The baseline names no revision, DVC cannot get the artifacts, or one is missing or not the accepted
            file.
    """
    if not accepted.revision:
        raise DataError(
            "benchmarks/baseline/accepted.json: no revision; expected a git commit; accept the baseline again: "
            "gossamer baseline accept"
        )
    out.mkdir(parents=True, exist_ok=True)
    with atomic_folder(out / ARTIFACTS, own=("*/artifact.json", "*/*")) as work:
        work.rmdir()  # dvc get makes it
        command = ["get", "--quiet", "--rev", accepted.revision, "--out", str(work.resolve()), ".", ARTIFACTS]
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *command], cwd=root, capture_output=True, text=True, check=False
        )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[0]
            raise DataError(
                f"{ARTIFACTS} of {accepted.release} ({accepted.revision[:12]}): dvc get: {reason}; "
                "expected them in DVC's cache or a remote; run dvc push where they were made"
            )
        check_artifacts(work, accepted.artifacts, f"of {accepted.release}")
    write_json(out / FETCHED, Fetched(revision=accepted.revision))
    return len(accepted.artifacts)


def read_fetched(folder: Path, accepted: Accepted) -> Models | None:
    """Return the accepted artifacts in data/baseline/, or None if none or those of another baseline were fetched.

    Raises:
        DataError: One is missing, or is not the accepted file.
    """
    fetched = folder / FETCHED
    if not accepted.revision or not fetched.is_file() or read_json(fetched, Fetched).revision != accepted.revision:
        return None
    return check_artifacts(folder / ARTIFACTS, accepted.artifacts, f"accepted with {accepted.release}")


def check_artifacts(folder: Path, expected: Mapping[str, str], which: str, command: str = FETCH) -> Models:
    """Find artifacts in a folder and check their SHA-256; artifacts that are not expected are left out.

    Args:
        folder: Folder of FORMAT/artifact.json.
        expected: Artifact -> SHA-256.
        which: Which artifacts are expected, for error messages, e.g. "that was measured".
        command: The next command that an error names.

    Raises:
        DataError: One is missing, or another file; names its file.
    """
    models = {artifact_name(record): (path, record) for path, record in read_artifacts(folder)}
    for name, digest in expected.items():
        if name not in models:
            raise DataError(f"{folder}: no {name}; expected every artifact {which}; run {command}")
        path = models[name][0]
        if sha256_of(path) != digest:
            raise DataError(f"{path}: not the file {which}: expected SHA-256 {digest}; run {command}")
    return {name: models[name] for name in expected}


def _locked_artifacts(lock: str) -> Sequence[object]:
    """Outs of all convert stages in the text of a dvc.lock; empty if there are none."""
    try:
        stages = (parse_yaml(lock) or {}).get("stages", {})
    except YamlError as error:
        raise DataError(f"{LOCK}{error}; expected the file that dvc repro writes") from error
    return [stage.get("outs") for name, stage in sorted(stages.items()) if name.startswith("convert@")]


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""

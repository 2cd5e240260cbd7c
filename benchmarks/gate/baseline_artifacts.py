"""The artifacts of the accepted baseline: found again in git and DVC, fetched, and checked before anybody times them.

Reads git, dvc.lock and DVC's cache or remote; writes data/baseline/: artifacts/FORMAT/ as the release had them, and
fetched.json with the revision. DVC hands out a tampered object without a word (``dvc get`` ends with 0), so every file
is compared with the SHA-256 that was accepted, when it is fetched and again whenever it is read.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.evaluation.inference import artifact_name, read_artifacts
from benchmarks.gate.baseline import Accepted, Release
from pipeline.data.hashing import sha256_of
from pipeline.data.records import Artifact, Record
from pipeline.data.storage import read_json, write_json
from pipeline.errors import DataError

ARTIFACTS = "artifacts"
FETCHED = "fetched.json"
LOCK = "dvc.lock"
FETCH = "gossamer baseline fetch"
Models = Mapping[str, tuple[Path, Artifact]]
"""Artifact -> (model file or package, its record)."""


class Fetched(Record):
    """Which revision's artifacts lie in data/baseline/."""

    revision: str


def find_release(root: Path, name: str = "HEAD") -> Release:
    """The commit whose dvc.lock names the artifacts that lie here, so that they can be fetched again.

    Args:
        root: Root of the checkout.
        name: A tag, branch or commit.

    Raises:
        DataError: There is no such revision, or its dvc.lock names other artifacts than this checkout's.
    """
    revision = _git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    if not revision:
        raise DataError(f"{name}: no revision of {root}; expected a tag, branch or commit that git knows")
    here = root / LOCK
    locked = _outs(here.read_text(encoding="utf-8") if here.is_file() else "")
    if not locked or locked != _outs(_git(root, "show", f"{revision}:{LOCK}")):
        raise DataError(
            f"{LOCK}: its artifacts are not those of {name} ({revision[:12]}), so they could not be fetched again; "
            f"commit {LOCK} (and push the artifacts: dvc push), then accept"
        )
    called = name if name != "HEAD" else _git(root, "describe", "--tags", "--always", revision)
    return Release(called, revision)


def fetch(root: Path, accepted: Accepted, out: Path) -> int:
    """Fetch the accepted artifacts with DVC, from its cache or remote; returns how many.

    Raises:
        DataError: The baseline names no revision; DVC cannot get the artifacts; one is missing or not the accepted one.
    """
    if not accepted.revision:
        raise DataError(
            "benchmarks/baseline/accepted.json: no revision; accept a baseline anew: gossamer baseline accept"
        )
    coming = out / f"{ARTIFACTS}.work"
    shutil.rmtree(coming, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    command = ["get", "--quiet", "--rev", accepted.revision, "--out", str(coming.resolve()), ".", ARTIFACTS]
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *command], cwd=root, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[:1] or [f"exit {done.returncode}"]
        raise DataError(
            f"{ARTIFACTS} of {accepted.release} ({accepted.revision[:12]}): dvc get: {last[0]}; "
            "expected them in DVC's cache or a remote; where they were made: dvc push"
        )
    check_artifacts(coming, accepted.artifacts, f"of {accepted.release}")
    shutil.rmtree(out / ARTIFACTS, ignore_errors=True)
    coming.rename(out / ARTIFACTS)
    write_json(out / FETCHED, Fetched(revision=accepted.revision))
    return len(accepted.artifacts)


def read_fetched(folder: Path, accepted: Accepted) -> Models | None:
    """The accepted artifacts in data/baseline/; None where they, or another baseline's, were not fetched.

    Raises:
        DataError: One is missing, or not the one that was accepted.
    """
    mark = folder / FETCHED
    if not accepted.revision or not mark.is_file() or read_json(mark, Fetched).revision != accepted.revision:
        return None
    return check_artifacts(folder / ARTIFACTS, accepted.artifacts, f"accepted with {accepted.release}")


def check_artifacts(folder: Path, expected: Mapping[str, str], which: str, command: str = FETCH) -> Models:
    """Artifacts in a folder, each with the SHA-256 it is expected to have; others that lie there are left out.

    Raises:
        DataError: One is missing or another; names its file.
    """
    found = {artifact_name(record): (path, record) for path, record in read_artifacts(folder)}
    for name, digest in expected.items():
        if name not in found:
            raise DataError(f"{folder}: no {name}; expected every artifact {which}; run {command}")
        path = found[name][0]
        if sha256_of(path) != digest:
            raise DataError(f"{path}: not the file {which}: expected SHA-256 {digest}; run {command}")
    return {name: found[name] for name in expected}


def _outs(lock: str) -> Sequence[Any]:
    """What dvc.lock says of the exports; empty where it says nothing."""
    stages = (yaml.safe_load(lock) or {}).get("stages", {})
    return [stage.get("outs") for name, stage in sorted(stages.items()) if name.startswith("convert@")]


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""

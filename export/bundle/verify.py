"""``gossamer verify``: is a pulled bundle the one that was released, and does every artifact in it do what it says?

Four steps, each only if the one before found nothing:

1. Everything in the folder is listed in SHA256SUMS and has its checksum (``export.bundle.checksums``).
2. contract.json, golden vectors and files agree with each other (``export.bundle.contract``).
3. What each artifact's own file says agrees with the contract, read by the format's own reader.
4. Every artifact gives the expected probabilities on the golden frames.

Models are opened in a process of their own: a damaged one may bring its runtime down. Needs the extra ``verify`` and no
toolkit of the stages. An artifact whose runtime is not installed here is reported as not run; that its file states the
decision of the contract is checked without it, by the bytes. Reads a bundle and writes nothing.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.bundle.checksums import SUMS, Finding, check_sums
from export.bundle.contract import (
    CONTRACT,
    GOLDEN,
    Contract,
    ContractArtifact,
    GoldenVectors,
    check_files,
    check_golden,
    check_interface,
    check_parts,
)
from export.formats import extras_of, format_names, open_format
from export.parity import run_artifact
from pipeline.data.decoding.decode import decode
from pipeline.data.hashing import files_of, size_of
from pipeline.data.storage import read_json
from pipeline.errors import DataError, GossamerError, ModelError, UnmeasurableError, cut

_LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found.

    Attributes:
        digest: SHA-256 of SHA256SUMS; compare it with the one that ``gossamer release`` printed.
        findings: Defects; empty if there are none.
        run: Ids of the artifacts that gave the expected probabilities.
        not_run: Id of an artifact -> why it could not be run here.
    """

    digest: str
    findings: tuple[Finding, ...]
    run: tuple[str, ...] = ()
    not_run: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Job:
    """One artifact to open, in a process of its own."""

    path: Path
    artifact: ContractArtifact
    frames: NDArray[np.uint8]
    golden: GoldenVectors


def verify(bundle: Path, digest: str | None = None) -> Verification:
    """Check a bundle.

    Args:
        bundle: The folder.
        digest: The digest it should have; None: any.

    Raises:
        ModelError: The folder is no bundle at all.
    """
    if not bundle.is_dir() or not any((bundle / name).exists() for name in (SUMS, CONTRACT)):
        raise ModelError(f"{bundle}: no bundle: neither {SUMS} nor {CONTRACT}; expected what gossamer release writes")
    listing = check_sums(bundle)
    findings = list(listing.findings)
    if digest is not None and digest.strip().lower().removeprefix("sha256:") != listing.digest:
        findings.append(Finding(SUMS, f"the bundle's digest is {listing.digest}; expected {cut(digest)}"))
    if findings:
        return Verification(listing.digest, tuple(findings))
    try:
        contract = read_json(bundle / CONTRACT, Contract)
        golden = {each.id: read_json(bundle / GOLDEN / f"{each.id}.json", GoldenVectors) for each in contract.artifacts}
    except DataError as error:
        return Verification(listing.digest, (Finding(CONTRACT, str(error)),))
    findings += check_parts(contract, golden.values(), listing.sums)
    findings += check_files(contract, listing.sums)
    for artifact in contract.artifacts:
        findings += check_golden(artifact, golden[artifact.id])
        findings += _check_size(bundle, artifact)
    if findings:
        return Verification(listing.digest, tuple(findings))
    return _run_all(bundle, contract, golden, listing.digest)


def _check_size(bundle: Path, artifact: ContractArtifact) -> Iterator[Finding]:
    path = bundle / artifact.file
    found = size_of(path) if path.exists() else artifact.size_bytes  # a missing file is a finding already
    if found != artifact.size_bytes:
        yield Finding(artifact.file, f"has {found:,} bytes; {CONTRACT} has {artifact.size_bytes:,}")
    if artifact.format not in format_names():
        known = ", ".join(format_names())
        yield Finding(artifact.file, f"format {artifact.format}; this version of Gossamer knows {known}")


def _run_all(bundle: Path, contract: Contract, golden: dict[str, GoldenVectors], digest: str) -> Verification:
    """Open every artifact in another process; what goes wrong there is a finding, a crash too."""
    findings: list[Finding] = []
    run, not_run = [], []
    pool = _open_pool()
    try:
        for artifact in contract.artifacts:
            frames = _read_frames(bundle, artifact, golden[artifact.id])
            if isinstance(frames, Finding):
                findings.append(frames)
                continue
            future = pool.submit(_examine, _Job(bundle / artifact.file, artifact, frames, golden[artifact.id]))
            error = future.exception()
            if isinstance(error, BrokenProcessPool):
                findings.append(Finding(artifact.file, "its runtime crashed on it: a damaged model"))
                pool.shutdown()
                pool = _open_pool()
            elif isinstance(error, ImportError | UnmeasurableError):
                not_run.append((artifact.id, _why_not_run(error)))
                findings += _check_unopened(bundle, artifact)
            elif error is not None:
                findings.append(Finding(artifact.file, _reason(error, bundle / artifact.file)))
            else:
                problems = future.result()
                findings += [Finding(artifact.file, problem) for problem in problems]
                run += [] if problems else [artifact.id]
    finally:
        pool.shutdown()
    return Verification(digest, tuple(findings), tuple(run), tuple(not_run))


def _why_not_run(error: ImportError | UnmeasurableError) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"{(error.name or 'a package').partition('.')[0]} is not installed"
    return cut(" ".join(str(error).split()), _LONGEST_REASON)


def _check_unopened(bundle: Path, artifact: ContractArtifact) -> Iterator[Finding]:
    """Look for the contract's decision in the bytes of a file: every format stores texts as they are."""
    stated = (repr(artifact.threshold).encode(), artifact.decision.sentence(artifact.labels).encode())
    contents = [file.read_bytes() for file in files_of(bundle / artifact.file)]
    if not all(any(text in content for content in contents) for text in stated):
        yield Finding(artifact.file, f"its own metadata do not state {artifact.decision}, which {CONTRACT} has")


def _open_pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def _examine(job: _Job) -> list[str]:
    """Open one artifact and compare it with contract and golden vectors; returns what is wrong with it."""
    artifact, artifact_format = job.artifact, open_format(job.artifact.format)
    states_decision = extras_of(artifact_format).annotate is not None
    problems = list(check_interface(artifact, artifact_format.describe(job.path), states_decision=states_decision))
    if problems:
        return problems
    probabilities = run_artifact(artifact_format.load(job.path), job.frames)
    expected = np.array(job.golden.probabilities, np.float32)
    if expected.shape != probabilities.shape:
        return [f"returns probabilities {probabilities.shape}; expected {expected.shape}"]
    difference = float(np.abs(probabilities - expected).max())
    if not difference <= job.golden.tolerance:
        return [f"differs by {difference:.4f} from its golden predictions; expected at most {job.golden.tolerance}"]
    return []


def _read_frames(bundle: Path, artifact: ContractArtifact, golden: GoldenVectors) -> NDArray[np.uint8] | Finding:
    """Decode the golden frames: uint8 (n, height, width, 3) RGB."""
    frames = []
    for name in golden.inputs:
        path = bundle / GOLDEN / name
        try:
            frame = decode(path.read_bytes(), str(path))
        except DataError as error:
            return Finding(f"{GOLDEN}/{name}", str(error))
        if frame.shape != artifact.input.shape[1:]:
            return Finding(f"{GOLDEN}/{name}", f"an image of {frame.shape}; expected {artifact.input.shape[1:]}")
        frames.append(frame)
    return np.stack(frames)


def _reason(error: BaseException, path: Path) -> str:
    """Word an exception that came out of a runtime."""
    text = " ".join(str(error).split()).removeprefix(f"{path}: ")
    kind = "" if isinstance(error, GossamerError) else f"cannot be run: {type(error).__name__}: "
    return cut(f"{kind}{text}", _LONGEST_REASON)

"""What the mobile team pulls, and the check they run on what they pulled.

    NAME-VERSION/FORMAT/RECIPE.SUFFIX   the artifacts
    NAME-VERSION/contract.json          what goes in and comes out of each
    NAME-VERSION/golden/                input frames (PNG) and each artifact's expected probabilities
    NAME-VERSION/snippets/              Swift and Kotlin
    NAME-VERSION/MODEL_CARD.md
    NAME-VERSION/SHA256SUMS             of every other file; `sha256sum -c SHA256SUMS` reads it

``build`` reads artifact folders and writes such a folder, whole or not at all; ``verify`` reads one and writes nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from export.bundle.card_figures import CardFigures
from export.bundle.code_snippets import write_snippets
from export.bundle.model_card import Contract, write_card
from export.formats import open_format
from export.parity import run_artifact
from pipeline.data.hashing import files_of, sha256_of
from pipeline.data.preprocess import PreprocessSpec, decode, encode_png
from pipeline.data.records import Artifact, Artifacts, Record
from pipeline.data.shards import load_batch, read_index
from pipeline.data.storage import atomic_folder, read_json, write_json
from pipeline.data.stratified_subset import choose_rows
from pipeline.errors import DataError, GossamerError, ModelError

CONTRACT, SUMS, CARD, GOLDEN, SNIPPETS = "contract.json", "SHA256SUMS", "MODEL_CARD.md", "golden", "snippets"
GOLDEN_IMAGES = 8
ARTIFACT_JSON = "artifact.json"
# Other processors round 8-bit and half-precision sums otherwise; float32 leaves only the order of additions.
_TOLERANCES = {"float32": 1e-4, "float16": 0.02}
_INT8_TOLERANCE = 0.05


class Policy(Protocol):
    """The part of a policy that a bundle tells."""

    @property
    def name(self) -> str:
        """Short name; the bundle's, too."""

    @property
    def question(self) -> str:
        """What the labels answer."""


class GoldenVectors(Record):
    """What one artifact answered to the golden frames in its runtime, and how far another device may stray."""

    artifact: str
    runtime: str
    inputs: tuple[str, ...]
    probabilities: tuple[tuple[float, ...], ...]
    tolerance: float


@dataclass(frozen=True, slots=True)
class BundleContent:
    """What goes into a bundle.

    Attributes:
        name: Of the policy.
        version: Of the release, without a leading v.
        question: The policy's.
        folders: artifacts/FORMAT, each with its artifact.json.
        frames: Frames at the input size, uint8 (n, height, width, 3) RGB; the first eight become golden inputs.
        figures: What was measured of the artifacts, for the model card.
    """

    name: str
    version: str
    question: str
    folders: tuple[Path, ...]
    frames: NDArray[np.uint8]
    figures: CardFigures


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with a bundle: the file, relative to it, and what is wrong."""

    file: str
    problem: str


def gather(policy: Policy, version: str, artifacts: Path, selfies: Path, figures: CardFigures) -> BundleContent:
    """Find what a bundle needs where the stages left it.

    Args:
        policy: Gives name and question.
        version: Of the release.
        artifacts: Folder of FORMAT/artifact.json.
        selfies: Folder of shards; the golden frames are a representative few of them.
        figures: What was measured of the artifacts.

    Raises:
        DataError: No artifact or no selfie is there, or a file is damaged.
    """
    folders = tuple(file.parent for file in sorted(artifacts.glob(f"*/{ARTIFACT_JSON}")))
    if not folders:
        raise DataError(f"{artifacts}: no FORMAT/{ARTIFACT_JSON}; run dvc repro convert")
    spec = PreprocessSpec.model_validate(read_json(folders[0] / ARTIFACT_JSON, Artifacts).artifacts[0].preprocess)
    return BundleContent(
        name=policy.name,
        version=version,
        question=policy.question,
        folders=folders,
        frames=load_batch(selfies, choose_rows(read_index(selfies), GOLDEN_IMAGES, 0), spec),
        figures=figures,
    )


def build(content: BundleContent, release: Path) -> Path:
    """Write ``release``/NAME-VERSION, replacing one of that name, and return it.

    Raises:
        DataError: An artifact.json is missing or damaged, or there are no golden frames.
        ModelError: An artifact is missing, or is not the one its artifact.json names.
    """
    if not len(content.frames) or not content.folders:
        raise DataError(f"{content.name}: no golden frames or no artifacts to bundle; run dvc repro")
    out = release / f"{content.name}-{content.version}"
    with atomic_folder(out) as bundle:
        artifacts = tuple(artifact for folder in content.folders for artifact in _copy(folder, bundle))
        contract = Contract(
            name=content.name,
            version=content.version,
            question=content.question,
            labels=artifacts[0].labels,
            artifacts=artifacts,
        )
        write_json(bundle / CONTRACT, contract)
        _write_golden(bundle, artifacts, content.frames[:GOLDEN_IMAGES])
        (bundle / CARD).write_text(write_card(contract, content.figures), encoding="utf-8")
        (bundle / SNIPPETS).mkdir()
        measurement = content.figures.measurement
        agreement = {name: row.agreement or 0.0 for name, row in measurement.artifacts.items()} if measurement else {}
        for file, text in write_snippets(artifacts, agreement).items():
            (bundle / SNIPPETS / file).write_text(text, encoding="utf-8")
        sums = [f"{sha256_of(file)}  {file.relative_to(bundle).as_posix()}\n" for file in files_of(bundle)]
        (bundle / SUMS).write_text("".join(sums), encoding="utf-8")
    return out


def verify(bundle: Path) -> list[Finding]:
    """Check every file's checksum, then ask every artifact the golden questions again.

    Returns:
        What is wrong; an empty list when nothing is.

    Raises:
        ModelError: The folder is no bundle.
    """
    if not (bundle / SUMS).is_file() or not (bundle / CONTRACT).is_file():
        raise ModelError(f"{bundle}: no bundle: {SUMS} or {CONTRACT} is missing; expected what gossamer release writes")
    findings = list(_check_sums(bundle))
    try:
        contract = read_json(bundle / CONTRACT, Contract)
    except DataError as error:
        return [*findings, Finding(CONTRACT, str(error))]
    for artifact in contract.artifacts:
        findings += _replay(bundle, artifact)
    return findings


def _copy(folder: Path, bundle: Path) -> Iterator[Artifact]:
    """Copy one format's artifacts, each only if it is the one that was measured."""
    listed = read_json(folder / ARTIFACT_JSON, Artifacts)
    for artifact in listed.artifacts:
        source, target = folder / artifact.file, bundle / listed.format / artifact.file
        if not source.exists() or sha256_of(source) != artifact.sha256:
            raise ModelError(f"{source}: missing or not the one that {ARTIFACT_JSON} names; run dvc repro convert")
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copyfile(source, target)
        yield artifact.model_copy(update={"file": f"{listed.format}/{artifact.file}"})


def _write_golden(bundle: Path, artifacts: tuple[Artifact, ...], frames: NDArray[np.uint8]) -> None:
    folder = bundle / GOLDEN
    folder.mkdir()
    inputs = tuple(f"{index:02d}.png" for index in range(len(frames)))
    for name, frame in zip(inputs, frames, strict=True):
        (folder / name).write_bytes(encode_png(frame))
    for artifact in artifacts:
        chosen = open_format(artifact.format)
        rows = run_artifact(chosen.load(bundle / artifact.file), frames)
        vectors = GoldenVectors(
            artifact=artifact.id,
            runtime=chosen.runtime().name,
            inputs=inputs,
            probabilities=tuple(tuple(float(value) for value in row) for row in rows),
            tolerance=_TOLERANCES.get(artifact.recipe.removesuffix("_ort"), _INT8_TOLERANCE),
        )
        write_json(folder / f"{artifact.id}.json", vectors)


def _check_sums(bundle: Path) -> Iterator[Finding]:
    listed: dict[str, str] = {}
    for line in (bundle / SUMS).read_text(encoding="utf-8", errors="replace").splitlines():
        digest, _, name = line.partition("  ")
        listed[name] = digest
    present = {file.relative_to(bundle).as_posix(): file for file in files_of(bundle)}
    for name, digest in listed.items():
        if name not in present:
            yield Finding(name, f"missing; listed in {SUMS}")
        elif sha256_of(present[name]) != digest:
            yield Finding(name, f"is not the file that {SUMS} names; pull the bundle again")
    for name in present.keys() - listed.keys() - {SUMS}:
        yield Finding(name, f"not listed in {SUMS}")


def _replay(bundle: Path, artifact: Artifact) -> list[Finding]:
    """Ask one artifact the golden questions; whatever keeps it from answering is a finding, too."""
    try:
        golden = read_json(bundle / GOLDEN / f"{artifact.id}.json", GoldenVectors)
        frames = [_read_frame(bundle / GOLDEN / name) for name in golden.inputs]
        rows = run_artifact(open_format(artifact.format).load(bundle / artifact.file), frames)
    except GossamerError as error:
        return [Finding(artifact.file, str(error))]
    expected = np.array(golden.probabilities, np.float32)
    if expected.shape != rows.shape:
        return [Finding(artifact.file, f"answers {rows.shape}; expected {expected.shape}")]
    stray = float(np.abs(rows - expected).max())
    if not stray <= golden.tolerance:
        return [Finding(artifact.file, f"strays by {stray:.4f} from its golden answers; expected {golden.tolerance}")]
    return []


def _read_frame(path: Path) -> NDArray[np.uint8]:
    if not path.is_file():
        raise DataError(f"{path}: missing; a golden input")
    return decode(path.read_bytes(), str(path))

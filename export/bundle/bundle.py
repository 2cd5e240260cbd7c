"""The release bundle that the mobile team pulls, and the check they run on it.

    NAME-VERSION/FORMAT/RECIPE.SUFFIX   the artifacts
    NAME-VERSION/contract.json          input, output, threshold and origin of each artifact
    NAME-VERSION/golden/                input frames (PNG) and each artifact's expected probabilities
    NAME-VERSION/snippets/              Swift and Kotlin
    NAME-VERSION/MODEL_CARD.md
    NAME-VERSION/SHA256SUMS             checksums of all other files, for `sha256sum -c SHA256SUMS`

``build`` reads artifact folders and writes a bundle, complete or not at all; ``verify`` reads one and writes nothing.
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
from pipeline.data.decoding.decode import decode
from pipeline.data.hashing import files_of, sha256_of
from pipeline.data.preprocess import PreprocessSpec, encode_png
from pipeline.data.records import Artifact, Artifacts, Record
from pipeline.data.shards import load_batch, read_index
from pipeline.data.storage import atomic_folder, read_json, write_json
from pipeline.data.stratified_subset import choose_rows
from pipeline.errors import DataError, GossamerError, ModelError

CONTRACT, SUMS, CARD, GOLDEN, SNIPPETS = "contract.json", "SHA256SUMS", "MODEL_CARD.md", "golden", "snippets"
GOLDEN_IMAGES = 8
ARTIFACT_JSON = "artifact.json"
# Processors round sums of halves and of 8 bits differently; in float32 only the order of additions differs.
_TOLERANCES = {"float32": 1e-4, "float16": 0.02}
_INT8_TOLERANCE = 0.05


class Policy(Protocol):
    """The part of a policy that goes into a bundle."""

    @property
    def name(self) -> str:
        """Short name, also of the bundle."""

    @property
    def question(self) -> str:
        """Question that the labels answer."""


class GoldenVectors(Record):
    """Expected predictions of one artifact on the golden frames.

    Attributes:
        artifact: Id of the artifact.
        runtime: Runtime that predicted.
        inputs: File names of the golden frames.
        probabilities: One row per frame, in the order of the labels.
        tolerance: Largest difference of a probability that is accepted on another device.
    """

    artifact: str
    runtime: str
    inputs: tuple[str, ...]
    probabilities: tuple[tuple[float, ...], ...]
    tolerance: float


@dataclass(frozen=True, slots=True)
class BundleContent:
    """What a bundle is built from.

    Attributes:
        name: Name of the policy.
        version: Version of the release, without a leading v.
        question: Question of the policy.
        folders: Folders artifacts/FORMAT, each with its artifact.json.
        frames: Frames at the input size, uint8 (n, height, width, 3) RGB; the first eight become golden inputs.
        figures: Figures of the artifacts, for the model card.
    """

    name: str
    version: str
    question: str
    folders: tuple[Path, ...]
    frames: NDArray[np.uint8]
    figures: CardFigures


@dataclass(frozen=True, slots=True)
class Finding:
    """A defect of a bundle: the file, relative to the bundle, and what is wrong with it."""

    file: str
    problem: str


def gather(policy: Policy, version: str, artifacts: Path, selfies: Path, figures: CardFigures) -> BundleContent:
    """Read what a bundle is built from out of the outputs of the stages.

    Args:
        policy: Policy that gives name and question.
        version: Version of the release.
        artifacts: Folder with FORMAT/artifact.json.
        selfies: Folder of shards; a stratified subset of them becomes the golden frames.
        figures: Figures of the artifacts.

    Raises:
        DataError: There are no artifacts or no selfies, or a file is damaged.
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
    """Write the folder NAME-VERSION into ``release``, replacing an older one, and return it.

    Raises:
        DataError: An artifact.json is missing or damaged, or there are no golden frames.
        ModelError: An artifact is missing, or is not the one that its artifact.json describes.
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
    """Check the checksum of every file, then run every artifact on the golden frames.

    Returns:
        Defects; empty if there are none.

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
    """Copy the artifacts of one format; each must be the one that was measured."""
    listed = read_json(folder / ARTIFACT_JSON, Artifacts)
    for artifact in listed.artifacts:
        source, target = folder / artifact.file, bundle / listed.format / artifact.file
        if not source.exists() or sha256_of(source) != artifact.sha256:
            raise ModelError(
                f"{source}: missing, or differs from the one that {ARTIFACT_JSON} describes; run dvc repro convert"
            )
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
        artifact_format = open_format(artifact.format)
        rows = run_artifact(artifact_format.load(bundle / artifact.file), frames)
        vectors = GoldenVectors(
            artifact=artifact.id,
            runtime=artifact_format.runtime().name,
            inputs=inputs,
            probabilities=tuple(tuple(float(value) for value in row) for row in rows),
            tolerance=_TOLERANCES.get(artifact.recipe.partition("_")[0], _INT8_TOLERANCE),
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
            yield Finding(name, f"differs from the file listed in {SUMS}; pull the bundle again")
    for name in present.keys() - listed.keys() - {SUMS}:
        yield Finding(name, f"not listed in {SUMS}")


def _replay(bundle: Path, artifact: Artifact) -> list[Finding]:
    """Run one artifact on the golden frames; a failure to run it is a defect as well."""
    try:
        golden = read_json(bundle / GOLDEN / f"{artifact.id}.json", GoldenVectors)
        frames = [_read_frame(bundle / GOLDEN / name) for name in golden.inputs]
        rows = run_artifact(open_format(artifact.format).load(bundle / artifact.file), frames)
    except GossamerError as error:
        return [Finding(artifact.file, str(error))]
    expected = np.array(golden.probabilities, np.float32)
    if expected.shape != rows.shape:
        return [Finding(artifact.file, f"returns probabilities {rows.shape}; expected {expected.shape}")]
    difference = float(np.abs(rows - expected).max())
    if not difference <= golden.tolerance:
        reason = f"differs by {difference:.4f} from its golden predictions; expected at most {golden.tolerance}"
        return [Finding(artifact.file, reason)]
    return []


def _read_frame(path: Path) -> NDArray[np.uint8]:
    if not path.is_file():
        raise DataError(f"{path}: missing; expected a golden input; pull the bundle again")
    return decode(path.read_bytes(), str(path))

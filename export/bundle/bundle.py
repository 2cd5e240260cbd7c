"""Builds the release bundle that the mobile team pulls; ``export.bundle.verify`` checks what they pulled.

    NAME-VERSION/FORMAT/RECIPE.SUFFIX   the artifacts
    NAME-VERSION/contract.json          input, output, threshold and origin of each artifact
    NAME-VERSION/golden/                input frames (PNG) and each artifact's expected probabilities
    NAME-VERSION/snippets/              Swift and Kotlin
    NAME-VERSION/MODEL_CARD.md
    NAME-VERSION/SHA256SUMS             checksums of all other files, for `sha256sum -c SHA256SUMS`

Reads artifact folders and selfies; writes a bundle, complete or not at all.
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
from export.bundle.checksums import SUMS, listed_files, write_sums
from export.bundle.code_snippets import write_snippets
from export.bundle.contract import (
    CARD,
    CONTRACT,
    GOLDEN,
    SNIPPETS,
    Contract,
    ContractArtifact,
    GoldenVectors,
    check_version,
    contract_artifact,
    tolerance_of,
)
from export.bundle.model_card import write_card
from export.formats import open_format
from export.parity import run_artifact
from pipeline.data.hashing import is_system_file, sha256_of
from pipeline.data.preprocess import PreprocessSpec, encode_png
from pipeline.data.records import Artifacts
from pipeline.data.shards import load_batch, read_index
from pipeline.data.storage import atomic_folder, read_json, write_json
from pipeline.data.stratified_subset import choose_rows
from pipeline.errors import DataError, ModelError

GOLDEN_IMAGES = 8
ARTIFACT_JSON = "artifact.json"


class Policy(Protocol):
    """The part of a policy that goes into a bundle."""

    @property
    def name(self) -> str:
        """Short name, also of the bundle."""

    @property
    def question(self) -> str:
        """Question that the labels answer."""


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
class Bundle:
    """A bundle on disk, and its digest: the SHA-256 of its SHA256SUMS."""

    path: Path
    digest: str


def gather(policy: Policy, version: str, artifacts: Path, selfies: Path, figures: CardFigures) -> BundleContent:
    """Read what a bundle is built from out of the outputs of the stages.

    Args:
        policy: Policy that gives name and question.
        version: Version of the release.
        artifacts: Folder with FORMAT/artifact.json.
        selfies: Folder of one test set; a stratified subset of it becomes the golden frames.
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


def build(content: BundleContent, release: Path) -> Bundle:
    """Write the folder NAME-VERSION into ``release``, replacing an older one.

    Raises:
        UsageError: The version is not of an accepted form, or something else than a bundle has this name.
        DataError: An artifact.json is missing or damaged, or there are no golden frames.
        ModelError: An artifact is missing, or is not the one that its artifact.json describes.
    """
    check_version(content.version)
    if not len(content.frames) or not content.folders:
        raise DataError(f"{content.name}: no golden frames or no artifacts to bundle; run dvc repro")
    out = release / f"{content.name}-{content.version}"
    with atomic_folder(out, own=(SUMS, *listed_files(out))) as bundle:
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
        _write_text(bundle / CARD, write_card(contract, content.figures))
        for file, text in write_snippets(artifacts, content.figures).items():
            _write_text(bundle / SNIPPETS / file, text)
        digest = write_sums(bundle)
    return Bundle(out, digest)


def _copy(folder: Path, bundle: Path) -> Iterator[ContractArtifact]:
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
            shutil.copytree(source, target, ignore=_system_files)
        else:
            shutil.copyfile(source, target)
        yield contract_artifact(artifact, f"{listed.format}/{artifact.file}")


def _system_files(folder: str, names: list[str]) -> list[str]:  # noqa: ARG001 - what shutil passes
    return [name for name in names if is_system_file(name)]


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def _write_golden(bundle: Path, artifacts: tuple[ContractArtifact, ...], frames: NDArray[np.uint8]) -> None:
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
            tolerance=tolerance_of(artifact.recipe),
        )
        write_json(folder / f"{artifact.id}.json", vectors)

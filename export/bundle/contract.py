"""contract.json and the golden vectors of a bundle: their records, and whether they agree with each other.

The contract is all that a phone needs to feed an artifact and to decide by its probabilities. It has no mean and no
standard deviation: normalisation is in the graph, and an app that knew the numbers might normalise a second time.
Reads and writes nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from export.bundle.checksums import Finding
from export.decision import Decision
from export.formats import INPUT, OUTPUT, Interface
from pipeline.data.preprocess import PreprocessSpec
from pipeline.data.records import Artifact, Record, Tensor
from pipeline.errors import UsageError, shown

CONTRACT, CARD, GOLDEN, SNIPPETS = "contract.json", "MODEL_CARD.md", "golden", "snippets"
VERSIONS = "a semantic version such as 1.4.0 or 2.0.0-rc.1, or a date such as 2024-05-31 or 2024.05.31.2"
_NUMBER, _WORD = "(?:0|[1-9][0-9]*)", "(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_SEMANTIC = rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-{_WORD}(?:\.{_WORD})*)?(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?"
_MONTH, _DAY, _REPEAT = "(?:0[1-9]|1[0-2])", "(?:0[1-9]|[12][0-9]|3[01])", "[1-9][0-9]{0,3}"
_DATE = rf"20[0-9]{{2}}(?:-{_MONTH}-{_DAY}(?:-{_REPEAT})?|\.{_MONTH}\.{_DAY}(?:\.{_REPEAT})?)"
VERSION = f"(?:{_SEMANTIC}|{_DATE})"
_LONGEST_VERSION = 64
# Processors round sums of halves and of 8 bits differently; in float32 only the order of additions differs.
_TOLERANCES = {"float32": 1e-4, "float16": 0.02}
_INT8_TOLERANCE = 0.05
_ROUNDING = 5e-3
"""Probabilities in halves are within this much of 0 to 1, and of a sum of 1."""

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=100)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Rounded = Annotated[float, Field(ge=-_ROUNDING, le=1 + _ROUNDING, allow_inf_nan=False)]
Labels = Annotated[tuple[Name, ...], Field(min_length=2)]
Part = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")]


class PhonePreprocess(Record):
    """How a picture of a phone's camera becomes the frame that an artifact takes; nothing else is to be done.

    Attributes:
        input_size: (height, width) of the frame, in pixels.
        fit: "crop" scales the picture to cover the frame and cuts the overhang evenly; "pad" scales it to lie inside
            and fills the rest with black.
        resampling: Filter of the scaling.
        colour_order: Order of the channels.
        values: Values of the frame; the model normalises them, so the app must not.
    """

    input_size: tuple[int, int]
    fit: Literal["crop", "pad"]
    resampling: Literal["bilinear, antialiased"] = "bilinear, antialiased"
    colour_order: Literal["RGB"] = "RGB"
    values: Literal["0 to 255, not normalised"] = "0 to 255, not normalised"


class ContractArtifact(Record):
    """One artifact of a bundle; attributes that are not listed are those of ``Artifact``.

    Attributes:
        file: File or folder, relative to the bundle: FORMAT/NAME.
        threshold: Decide for the positive label where its probability is at least this high.
        retake_band: (low, high): probabilities strictly between them ask for another photograph; None: it never asks.
        preprocess: From a camera's picture to the frame.
    """

    id: str
    format: Name
    recipe: Name
    file: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*/[A-Za-z0-9][A-Za-z0-9._+-]*$")]
    sha256: Sha256
    size_bytes: Annotated[int, Field(gt=0)]
    input: Tensor
    output: Tensor
    labels: Labels
    threshold: Annotated[float, Field(gt=0, lt=1)]
    retake_band: tuple[Probability, Probability] | None
    preprocess: PhonePreprocess
    tools: dict[str, str]
    checkpoint_id: Sha256
    dataset_id: Sha256

    @model_validator(mode="after")
    def _check(self) -> Self:
        low, high = self.retake_band or (0, 1)
        if not low < high or not low <= self.threshold <= high:
            raise ValueError(f"threshold {self.threshold} and retake band {self.retake_band}; expected it in between")
        height, width = self.preprocess.input_size
        if self.input.shape != (1, height, width, 3) or min(height, width) < 1:
            raise ValueError(f"input {self.input.shape}; expected (1, {height}, {width}, 3)")
        if self.output.shape != (1, len(self.labels)):
            raise ValueError(f"output {self.output.shape}; expected (1, {len(self.labels)}), one probability per label")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels {', '.join(self.labels)}; expected each once")
        if self.id != f"{self.format}-{self.recipe}" or self.file.partition("/")[0] != self.format:
            raise ValueError(
                f"id {self.id} and file {self.file}; expected {self.format}-{self.recipe} in {self.format}/"
            )
        return self

    @property
    def decision(self) -> Decision:
        """Where it decides."""
        return Decision(self.threshold, self.retake_band)


class Contract(Record):
    """contract.json: the artifacts of a bundle with their inputs, outputs and decisions."""

    name: Name
    version: Annotated[str, Field(pattern=f"^{VERSION}$", max_length=_LONGEST_VERSION)]
    question: str
    labels: Labels
    artifacts: Annotated[tuple[ContractArtifact, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        for key in ("id", "file"):
            values = Counter(getattr(artifact, key) for artifact in self.artifacts)
            if values.most_common(1)[0][1] > 1:
                raise ValueError(f"{values.most_common(1)[0][0]}; expected each {key} once")
        for key in ("labels", "checkpoint_id", "dataset_id", "preprocess"):
            if len({getattr(artifact, key) for artifact in self.artifacts}) > 1:
                raise ValueError(f"artifacts with different {key}; expected those of one checkpoint")
        if self.artifacts[0].labels != self.labels:
            raise ValueError(
                f"labels {', '.join(self.labels)}; expected the artifacts': {', '.join(self.artifacts[0].labels)}"
            )
        return self


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
    inputs: Annotated[tuple[Part, ...], Field(min_length=1)]
    probabilities: tuple[tuple[Rounded, ...], ...]
    tolerance: Annotated[float, Field(gt=0, allow_inf_nan=False)]


def check_version(version: str) -> None:
    """Refuse a version that is not of one of the two forms; it becomes part of a folder's name.

    Raises:
        UsageError: It is of neither.
    """
    if len(version) > _LONGEST_VERSION or not re.fullmatch(VERSION, version):
        plain = version.removeprefix("v")
        meant = f"; did you mean {plain}?" if plain != version and re.fullmatch(VERSION, plain) else ""
        raise UsageError(f"VERSION: {shown(version)}; expected {VERSIONS}{meant}")


def contract_artifact(artifact: Artifact, file: str) -> ContractArtifact:
    """Take what a phone needs from the record of an artifact, which lies in the bundle as ``file``."""
    spec = PreprocessSpec.model_validate(artifact.preprocess)
    facts = artifact.model_dump(exclude={"file", "preprocess", "quantisation"})
    preprocess = PhonePreprocess(input_size=spec.input_size, fit=spec.fit)
    return ContractArtifact(**facts, file=file, preprocess=preprocess)


def tolerance_of(recipe: str) -> float:
    """Largest difference of a probability between two devices that both run an artifact right."""
    return _TOLERANCES.get(recipe.partition("_")[0], _INT8_TOLERANCE)


def check_files(contract: Contract, sums: Mapping[str, str]) -> Iterator[Finding]:
    """Compare the artifacts of a contract with the files of the bundle, whose checksums hold.

    Args:
        contract: The contract.
        sums: File, relative to the bundle -> SHA-256.
    """
    for artifact in contract.artifacts:
        inside = {name: digest for name, digest in sums.items() if name.startswith(f"{artifact.file}/")}
        digest = _folder_hash(artifact.file, inside) if inside else sums.get(artifact.file)
        if digest is None:
            yield Finding(artifact.file, f"missing; listed in {CONTRACT}")
        elif digest != artifact.sha256:
            yield Finding(artifact.file, f"its SHA-256 is {digest}; {CONTRACT} has {artifact.sha256}")


def check_golden(artifact: ContractArtifact, golden: GoldenVectors) -> Iterator[Finding]:
    """Compare the golden vectors of an artifact with its contract."""
    file = f"{GOLDEN}/{artifact.id}.json"
    if golden.artifact != artifact.id:
        yield Finding(file, f"of {golden.artifact}; expected {artifact.id}")
    if len(set(golden.inputs)) != len(golden.inputs) or len(golden.inputs) != len(golden.probabilities):
        yield Finding(
            file, f"{len(golden.probabilities)} rows for {len(golden.inputs)} inputs; expected a row for each"
        )
    if golden.tolerance > tolerance_of(artifact.recipe):
        yield Finding(file, f"tolerance {golden.tolerance}; expected at most {tolerance_of(artifact.recipe)}")
    for row in golden.probabilities:
        if len(row) != len(artifact.labels) or abs(sum(row) - 1) > _ROUNDING:
            yield Finding(file, f"probabilities {row}; expected {len(artifact.labels)} that add up to 1")
            return


def check_parts(contract: Contract, golden: Iterable[GoldenVectors], sums: Mapping[str, str]) -> Iterator[Finding]:
    """Find files that are listed, but belong to nothing that a bundle has."""
    parts = {CONTRACT, CARD, *(f"{GOLDEN}/{artifact.id}.json" for artifact in contract.artifacts)}
    parts |= {f"{GOLDEN}/{name}" for vectors in golden for name in vectors.inputs}
    parts |= {artifact.file for artifact in contract.artifacts}
    for name in sums:
        of_artifact = any(name.startswith(f"{artifact.file}/") for artifact in contract.artifacts)
        of_snippets = name.startswith(f"{SNIPPETS}/") and name.count("/") == 1
        if name not in parts and not of_artifact and not of_snippets:
            yield Finding(name, f"belongs to no artifact of {CONTRACT}; a bundle has no other files")
    for name in sorted(parts - sums.keys() - {artifact.file for artifact in contract.artifacts}):
        yield Finding(name, "missing; every bundle has it")


def check_interface(artifact: ContractArtifact, interface: Interface, *, states_decision: bool) -> Iterator[str]:
    """Compare what an artifact's own file says with its contract.

    Args:
        artifact: The contract.
        interface: What the reader of its format reports.
        states_decision: Whether files of this format state their threshold and retake band.
    """
    height, width = artifact.preprocess.input_size
    facts = {
        "input": (interface.input_name, INPUT, artifact.input.name),
        "output": (interface.output_name, OUTPUT, artifact.output.name),
        "input type": (interface.dtype, "uint8", artifact.input.dtype),
        "input layout": (interface.layout, artifact.input.layout),
        "input size": ((interface.height, interface.width), (height, width)),
        "labels": (interface.labels, artifact.labels),
    }
    for what, (found, *expected) in facts.items():
        if any(found != value for value in expected):
            yield f"its own {what} is {shown(found)}; {CONTRACT} has {shown(expected[-1])}"
    if states_decision and interface.decision != artifact.decision:
        yield f"its own metadata state {interface.decision}; {CONTRACT} has {artifact.decision}"


def _folder_hash(folder: str, sums: Mapping[str, str]) -> str:
    """Hash a folder as ``pipeline.data.hashing.sha256_of`` does, from the checksums of its files."""
    names = sorted((name.removeprefix(f"{folder}/") for name in sums), key=lambda name: tuple(name.split("/")))
    lines = [f"{sums[f'{folder}/{name}']}  {name}\n" for name in names]
    return hashlib.sha256("".join(lines).encode()).hexdigest()

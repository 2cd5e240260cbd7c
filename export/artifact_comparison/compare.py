"""Compares two artifacts on the same images: decisions, probabilities and, on request, every layer.

Reads both artifacts, their records and a folder of shards; writes nothing. Across formats the comparison shows whether
two phones decide alike; within one format, in which layer a recipe loses precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from export.artifact_comparison.layer_snr import Layer, compare_layers, steepest_fall
from export.bundle.contract import Contract, ContractArtifact, contract_artifact
from export.formats import extras_of, format_of, open_format
from export.parity import Parity, compare, run_artifact
from pipeline.data.hashing import sha256_of
from pipeline.data.preprocess import PreprocessSpec
from pipeline.data.records import Artifacts
from pipeline.data.shards import load_batch, read_index
from pipeline.data.storage import read_json
from pipeline.data.stratified_subset import choose_rows
from pipeline.errors import DataError, ModelError

_SEED = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Parity of an artifact with a reference, and the layers in execution order if they were requested."""

    reference: ContractArtifact
    artifact: ContractArtifact
    parity: Parity
    layers: list[Layer]


def compare_artifacts(reference: Path, artifact: Path, images: Path, count: int, *, layers: bool) -> Comparison:
    """Run both artifacts on the same images.

    Args:
        reference: Artifact to compare with, usually ``float32``.
        artifact: The other artifact; of the same format if layers are requested.
        images: Folder of shards.
        count: Number of images, a stratified subset.
        layers: Whether to compare intermediate results.

    Raises:
        DataError: There are no images, or an artifact has no record.
        ModelError: An artifact is damaged, they take different inputs, or their layers cannot be compared.
    """
    ours, theirs = record_of(reference), record_of(artifact)
    for path, record in ((reference, ours), (artifact, theirs)):
        _check_file(path, record)
    if (ours.preprocess, ours.labels) != (theirs.preprocess, theirs.labels):
        raise ModelError(f"{artifact}: other labels or preprocessing than {reference}; expected the same checkpoint's")
    if layers and ours.format != theirs.format:
        raise ModelError(f"{artifact}: {theirs.format}; expected {ours.format}: layers of two formats share no names")
    spec = PreprocessSpec(input_size=ours.preprocess.input_size, fit=ours.preprocess.fit)
    frames = load_batch(images, choose_rows(read_index(images), count, _SEED), spec)
    if not len(frames):
        raise DataError(f"{images}: no image to compare on; run dvc repro selfies")
    console = Console(stderr=True)
    expected, probabilities = (
        run_artifact(format_of(path).load(path), track(frames, f"parity: {path.name}", console=console, transient=True))
        for path in (reference, artifact)
    )
    compared: list[Layer] = []
    if layers:
        ours_traced, theirs_traced = (extras_of(format_of(path)).trace(path) for path in (reference, artifact))
        progress = track(frames, "parity: layers", console=console, transient=True)
        compared = compare_layers(ours_traced, theirs_traced, progress)
    return Comparison(ours, theirs, compare(expected, probabilities, ours.threshold), compared)


def record_of(path: Path) -> ContractArtifact:
    """Read what goes into an artifact from artifact.json beside it, or from its bundle's contract.json.

    Raises:
        DataError: Neither file exists, or it does not list the artifact.
    """
    listed, contract = path.parent / "artifact.json", path.parents[1] / "contract.json"
    records: Sequence[ContractArtifact]
    if listed.is_file():
        own = read_json(listed, Artifacts)
        records = [contract_artifact(artifact, f"{own.format}/{artifact.file}") for artifact in own.artifacts]
    elif contract.is_file():
        records = read_json(contract, Contract).artifacts
    else:
        raise DataError(f"{path}: no record of it: neither {listed} nor {contract} exists; run dvc repro convert")
    for record in records:
        if Path(record.file).name == path.name:
            return record
    known = ", ".join(Path(record.file).name for record in records)
    raise DataError(f"{path}: not listed in the record beside it; expected one of {known}")


def _check_file(path: Path, record: ContractArtifact) -> None:
    """Refuse another file than the recorded one before it is opened: a damaged model may bring its runtime down."""
    if not path.exists():
        raise ModelError(f"{path}: missing; expected an artifact; run dvc repro convert")
    if sha256_of(path) != record.sha256:
        raise ModelError(f"{path}: not the file that its record describes; run dvc repro convert, or pull it again")


def show(comparison: Comparison) -> None:
    """Print a comparison, its layers in execution order."""
    console = Console()
    if comparison.layers:
        short_name = extras_of(open_format(comparison.artifact.format)).short_name
        table = Table("layer", "SNR, dB", box=None)
        table.columns[1].justify = "right"
        for layer in comparison.layers:
            table.add_row(short_name(layer.name), f"{layer.snr_db:.1f}")
        console.print(table)
        steepest = steepest_fall(comparison.layers)
        loss = (
            f"largest loss: {steepest[1]:.1f} dB at {short_name(steepest[0].name)}" if steepest else "no layer differs"
        )
        console.print(loss, highlight=False)
    parity = comparison.parity
    console.print(
        f"{comparison.artifact.id} against {comparison.reference.id}, {parity.images} images: "
        f"{parity.agreement:.2%} equal decisions, probabilities within {parity.max_abs_probability_diff:.4f}, "
        f"log-odds within {parity.log_odds_error:.4f} (root mean square)",
        highlight=False,
        soft_wrap=True,
    )

"""Two artifacts side by side on the same images: decisions, probabilities and, on demand, every layer.

Reads both, what is written beside them and a folder of shards; writes nothing. Across formats it says whether two
phones answer alike; within one, where a recipe loses its precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from export.artifact_comparison.layer_snr import Layer, compare_layers, steepest_fall
from export.bundle.model_card import Contract
from export.formats import format_of
from export.parity import Parity, compare, run_artifact
from pipeline.data.preprocess import PreprocessSpec
from pipeline.data.records import Artifact, Artifacts
from pipeline.data.shards import load_batch, read_index
from pipeline.data.storage import read_json
from pipeline.data.stratified_subset import choose_rows
from pipeline.errors import DataError, ModelError

_SEED = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found: over all images, and for each layer in execution order where that was asked."""

    reference: Artifact
    artifact: Artifact
    parity: Parity
    layers: list[Layer]


def compare_artifacts(reference: Path, artifact: Path, images: Path, count: int, *, layers: bool) -> Comparison:
    """Run both on the same images.

    Args:
        reference: The artifact that is held to be right, most often ``float32``.
        artifact: The other; of the same format where layers are asked for.
        images: Folder of shards.
        count: Images to compare on, chosen so that labels and factors are shared out as among all.
        layers: Whether to look inside.

    Raises:
        DataError: There is no image, or nothing beside an artifact says what goes into it.
        ModelError: An artifact is damaged, they take other frames, or their layers cannot be compared.
    """
    ours, theirs = record_of(reference), record_of(artifact)
    if (ours.preprocess, ours.labels) != (theirs.preprocess, theirs.labels):
        raise ModelError(f"{artifact}: other labels or preprocessing than {reference}; expected one checkpoint's")
    if layers and ours.format != theirs.format:
        raise ModelError(f"{artifact}: {theirs.format} beside {ours.format}; layers go by one format's names")
    spec = PreprocessSpec.model_validate(ours.preprocess)
    frames = load_batch(images, choose_rows(read_index(images), count, _SEED), spec)
    if not len(frames):
        raise DataError(f"{images}: no image to compare on; run dvc repro selfies")
    told = Console(stderr=True)
    expected, found = (
        run_artifact(format_of(path).load(path), track(frames, f"parity: {path.name}", console=told, transient=True))
        for path in (reference, artifact)
    )
    seen: list[Layer] = []
    if layers:
        right, doubtful = (format_of(path).trace(path) for path in (reference, artifact))
        seen = compare_layers(right, doubtful, track(frames, "parity: layers", console=told, transient=True))
    return Comparison(ours, theirs, compare(expected, found, ours.threshold), seen)


def record_of(path: Path) -> Artifact:
    """Find what artifact.json beside an artifact, or its bundle's contract, says of it.

    Raises:
        DataError: Neither is there, or neither names it.
    """
    listed, contract = path.parent / "artifact.json", path.parents[1] / "contract.json"
    if listed.is_file():
        records = read_json(listed, Artifacts).artifacts
    elif contract.is_file():
        records = read_json(contract, Contract).artifacts
    else:
        raise DataError(f"{path}: neither {listed} nor {contract} says what it takes; run dvc repro convert")
    for record in records:
        if Path(record.file).name == path.name:
            return record
    known = ", ".join(Path(record.file).name for record in records)
    raise DataError(f"{path}: not named beside it; expected one of {known}")


def show(found: Comparison) -> None:
    """Print it, the layers in execution order."""
    console = Console()
    if found.layers:
        table = Table("layer", "SNR, dB", box=None)
        table.columns[1].justify = "right"
        for layer in found.layers:
            table.add_row(_short(layer.name), f"{layer.snr_db:.1f}")
        console.print(table)
        fall = steepest_fall(found.layers)
        told = f"most is lost at {_short(fall[0].name)}: {fall[1]:.1f} dB" if fall else "nothing is lost at any layer"
        console.print(told, highlight=False)
    parity = found.parity
    console.print(
        f"{found.artifact.id} against {found.reference.id}, {parity.images} images: "
        f"{parity.agreement:.2%} equal decisions, probabilities within {parity.max_abs_probability_diff:.4f}, "
        f"log-odds within {parity.log_odds_error:.4f} (root mean square)",
        highlight=False,
        soft_wrap=True,
    )


def _short(name: str) -> str:
    """Tell TFLite's long names by their place in the network: "Named/a/b_network/c_blocks/d_dw;1" -> "blocks.dw;1"."""
    if "/" not in name:
        return name
    parts = name.rpartition(";;")[2].rstrip(";").split("/")
    return ".".join(part.rpartition(".")[2].partition("_")[2] for part in parts[3:]) or parts[-1].rpartition(".")[2]

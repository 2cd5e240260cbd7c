"""Paths that `gossamer` commands take as arguments, and how ``--help`` describes them.

``reads`` and ``writes`` describe one path of one command; the types below are paths that several commands share.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def reads(what: str) -> Any:  # noqa: ANN401 - typer's ArgumentInfo is not generic
    """A path argument that the command reads, e.g. ``reads("rows to split")``."""
    return typer.Argument(help=f"in: {what}")


def writes(what: str) -> Any:  # noqa: ANN401
    """A path argument that the command writes, e.g. ``writes("training rows")``."""
    return typer.Argument(help=f"out: {what}")


PolicyFile = Annotated[Path, reads("policy")]
ImageFolder = Annotated[Path, reads("folder of images in tar shards")]
KeptRows = Annotated[Path, reads("images that curation kept, JSON lines")]
RejectedRows = Annotated[Path, reads("images that curation rejected, JSON lines")]
TrainingRows = Annotated[Path, reads("training rows, JSON lines")]
ValidationRows = Annotated[Path, reads("validation rows, JSON lines")]
CheckpointFolder = Annotated[Path, reads("folder of the checkpoint")]
ArtifactFolder = Annotated[Path, reads("folder with one folder of artifacts per format")]
SelfieFolder = Annotated[Path, reads("folder of test selfies in tar shards")]
MeasurementFile = Annotated[Path, reads("figures of every artifact, JSON")]
PredictionTable = Annotated[Path, reads("predictions of every artifact on every selfie, Parquet")]
BaselineFolder = Annotated[Path, reads("folder of the accepted baseline")]
VerdictFile = Annotated[Path, reads("verdict of the gate, JSON")]
MetricsFile = Annotated[
    Path, writes("figures of the result, JSON; figures of the machine go to machine.json beside it")
]

"""Paths that `gossamer` commands take as arguments, and how ``--help`` describes them.

``reads`` and ``writes`` describe one path of one command; the types below are paths that several commands share.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.machine import plugins

POLICIES = Path("policies")
"""Default of every policy argument."""


def reads(what: str) -> Any:  # noqa: ANN401 - typer's ArgumentInfo is not generic
    """A path argument that the command reads, e.g. ``reads("rows to split")``."""
    return typer.Argument(help=f"in: {what}")


def writes(what: str) -> Any:  # noqa: ANN401
    """A path argument that the command writes, e.g. ``writes("training rows")``."""
    return typer.Argument(help=f"out: {what}")


def find_policy(path: Path) -> Path:
    """Resolve a folder of policies to the file of the policy that params.yaml names.

    So dvc.yaml passes the folder, and no name of params.yaml reaches a shell.

    Raises:
        ParamsError: params.yaml is missing or wrong.
    """
    from pipeline.config.params import load_params

    return path / f"{load_params().policy}.yaml" if path.is_dir() else path


def name_format(stage: str) -> str:
    """Resolve the name of a DVC stage, as DVC passes it in DVC_STAGE, to its format: ``convert@onnx`` to ``onnx``."""
    return stage.rpartition("@")[2]


def plug_in(package: str, what: str, metavar: str) -> Any:  # noqa: ANN401
    """A plug-in's name as an argument; ``--help`` lists the names, and the shell completes them."""
    known = plugins.names(package)

    def complete(incomplete: str) -> list[str]:
        return [name for name in known if name.startswith(incomplete)]

    callback = name_format if metavar == "FORMAT" else None
    help_text = f"{what}: {', '.join(known)}"
    return typer.Argument(metavar=metavar, help=help_text, autocompletion=complete, callback=callback)


PolicyFile = Annotated[
    Path,
    typer.Argument(help="in: policy, or the folder of the one that params.yaml names", callback=find_policy),
]
FormatName = Annotated[str, plug_in("export.formats", "format to convert to", "FORMAT")]
BenchmarkName = Annotated[
    str, plug_in("benchmarks.experiments", "benchmark to run; without a name, all are described. One of", "NAME")
]
ImageFolder = Annotated[Path, reads("folder of images in tar shards")]
TrainingImageFolder = Annotated[Path, reads("folder of training images, which no photograph may be among")]
KeptRows = Annotated[Path, reads("images that curation kept, JSON lines")]
RejectedRows = Annotated[Path, reads("images that curation rejected, JSON lines")]
TrainingRows = Annotated[Path, reads("training rows, JSON lines")]
ValidationRows = Annotated[Path, reads("validation rows, JSON lines")]
CheckpointFolder = Annotated[Path, reads("folder of the checkpoint")]
ArtifactFolder = Annotated[Path, reads("folder with one folder of artifacts per format")]
SelfieFolder = Annotated[Path, reads("folder of test selfies in tar shards")]
CurationFile = Annotated[Path, reads("figures of curation, JSON: were the labels checked")]
MeasurementFile = Annotated[Path, reads("figures of every artifact, JSON")]
PredictionTable = Annotated[Path, reads("predictions of every artifact on every selfie, Parquet")]
BaselineFolder = Annotated[Path, reads("folder of the accepted baseline")]
VerdictFile = Annotated[Path, reads("verdict of the gate, JSON")]
MetricsFile = Annotated[
    Path, writes("figures of the result, JSON; figures of the machine go to machine.json beside it")
]

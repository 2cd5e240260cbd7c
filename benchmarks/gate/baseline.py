"""The accepted baseline: the measurements a new candidate must not fall behind; kept in git, changed by a person only.

    benchmarks/baseline/measure.json         metrics/measure.json as it was accepted
    benchmarks/baseline/predictions.parquet  its answers, selfie by selfie, for paired tests
    benchmarks/baseline/accepted.json        SHA-256 of both and of every artifact, and the git revision they come from:
                                             a changed or half-copied baseline is refused

The artifacts themselves stay where DVC has them; ``benchmarks.gate.baseline_artifacts`` fetches them to be timed.

Each file is written atomically and accepted.json last, so that a crash in between leaves a baseline that is refused.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from benchmarks.evaluation.predictions import Predictions, read_predictions
from pipeline.data.records import Record
from pipeline.data.storage import atomic_write, read_json, read_metrics, write_json
from pipeline.errors import DataError

MEASURED = "measure.json"
PREDICTIONS = "predictions.parquet"
ACCEPTED = "accepted.json"


@dataclass(frozen=True, slots=True)
class Release:
    """Where artifacts come from: a name that people know (a tag, say) and the commit it meant; empty: nowhere."""

    name: str = ""
    revision: str = ""


NOWHERE = Release()


class Accepted(Record):
    """What was accepted: checksums of the two files, and the ids behind them.

    Attributes:
        release: What the revision is called, e.g. v1.2.0.
        revision: The git commit whose dvc.lock names the artifacts; empty where they cannot be fetched again.
        artifacts: Artifact -> its SHA-256.
    """

    measure_sha256: str
    predictions_sha256: str
    selfies_dataset_id: str
    checkpoint_id: str
    release: str = ""
    revision: str = ""
    artifacts: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Baseline:
    """An accepted measure.json with its predictions."""

    measured: dict[str, Any]
    predictions: Predictions
    accepted: Accepted

    def name(self) -> str:
        """Say which baseline it is, in a few words."""
        release = f"{self.accepted.release}: " if self.accepted.release else ""
        return f"{release}checkpoint {self.accepted.checkpoint_id[:12]} on {len(self.predictions.ids)} selfies"


def read_baseline(folder: Path) -> Baseline | None:
    """Read the baseline; None where none was accepted yet.

    Raises:
        DataError: Files of it are missing, damaged, or not the ones that were accepted.
    """
    paths = [folder / name for name in (ACCEPTED, MEASURED, PREDICTIONS)]
    if not any(path.exists() for path in paths):
        return None
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path}: missing beside the rest of the baseline; restore {folder} from git")
    accepted = read_json(paths[0], Accepted)
    for path, digest in zip(paths[1:], (accepted.measure_sha256, accepted.predictions_sha256), strict=True):
        if _sha256(path) != digest:
            raise DataError(
                f"{path}: not the file that {paths[0]} names; restore {folder} from git, or remove it in a commit of "
                "its own and run gossamer baseline accept"
            )
    return Baseline(read_metrics(paths[1]), read_predictions(paths[2]), accepted)


def write_baseline(folder: Path, measured: Path, predictions: Path, release: Release = NOWHERE) -> Baseline:
    """Copy measurements and predictions into the baseline's folder.

    Raises:
        DataError: One of them is missing or damaged.
    """
    table, figures = read_predictions(predictions), read_metrics(measured)
    hashes = {name: each.get("sha256") for name, each in figures.get("artifacts", {}).items()}
    accepted = Accepted(
        measure_sha256=_sha256(measured),
        predictions_sha256=_sha256(predictions),
        selfies_dataset_id=table.dataset_id(),
        checkpoint_id=figures.get("checkpoint", {}).get("id", ""),
        release=release.name,
        revision=release.revision,
        artifacts={name: digest for name, digest in hashes.items() if isinstance(digest, str)},
    )
    (folder / ACCEPTED).unlink(missing_ok=True)
    for source, name in ((measured, MEASURED), (predictions, PREDICTIONS)):
        with atomic_write(folder / name) as file:
            file.write(source.read_bytes())
    write_json(folder / ACCEPTED, accepted)
    return Baseline(figures, table, accepted)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

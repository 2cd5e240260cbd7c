"""The accepted baseline: the measurement that a candidate must not fall behind. In git; only a person changes it.

    benchmarks/baseline/measure.json         metrics/measure.json as it was accepted
    benchmarks/baseline/predictions.parquet  its predictions on each selfie, for paired tests
    benchmarks/baseline/accepted.json        SHA-256 of both, of every artifact and of its own contents, the git
                                             revision they come from, and which of them could be timed; a changed or
                                             half-copied baseline is refused

The artifacts themselves stay in DVC; ``benchmarks.gate.baseline_artifacts`` fetches them for timing.

Each file is written atomically and accepted.json last, so that a crash in between leaves a baseline that is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from benchmarks.evaluation.measurement import Measurement, read_measurement
from benchmarks.evaluation.predictions import Predictions, read_predictions
from benchmarks.gate.paired_predictions import why_not_comparable
from pipeline.data.hashing import content_hash, sha256_of
from pipeline.data.records import Record
from pipeline.data.storage import atomic_write, encode_json, read_json, write_json
from pipeline.errors import DataError

MEASURED = "measure.json"
PREDICTIONS = "predictions.parquet"
ACCEPTED = "accepted.json"


@dataclass(frozen=True, slots=True)
class Release:
    """Where artifacts come from: a name, e.g. a tag, and the commit it stood for; both empty where unknown."""

    name: str = ""
    revision: str = ""


NOWHERE = Release()


class Accepted(Record):
    """accepted.json.

    Attributes:
        id: ``content_hash`` of all other fields.
        measure_sha256: SHA-256 of measure.json.
        predictions_sha256: SHA-256 of predictions.parquet.
        selfies_dataset_id: Id of the test set that its verdict stood on.
        checkpoint_id: Id of the checkpoint.
        release: Name of the revision, e.g. v1.2.0.
        revision: Git commit whose dvc.lock lists the artifacts; empty where they cannot be fetched again.
        artifacts: Artifact -> its SHA-256.
        timeable: Artifacts that could be timed where the baseline was accepted; a later gate must time them, too.
    """

    id: str = ""
    measure_sha256: str
    predictions_sha256: str
    selfies_dataset_id: str
    checkpoint_id: str
    release: str = ""
    revision: str = ""
    artifacts: dict[str, str] = Field(default_factory=dict)
    timeable: tuple[str, ...] = ()

    def with_id(self) -> Accepted:
        """The same record with the id that its other fields give."""
        return self.model_copy(update={"id": content_hash(self.model_copy(update={"id": ""}))})


@dataclass(frozen=True, slots=True)
class Baseline:
    """An accepted measurement with its predictions."""

    measurement: Measurement
    predictions: Predictions
    accepted: Accepted

    @property
    def headline_predictions(self) -> Predictions:
        """Predictions on the test set that its verdict stood on."""
        return self.predictions.of_set(self.measurement.headline)

    def name(self) -> str:
        """A short description: release, checkpoint and number of selfies."""
        release = f"{self.accepted.release}: " if self.accepted.release else ""
        return f"{release}checkpoint {self.accepted.checkpoint_id[:12]} on {len(self.headline_predictions.ids)} selfies"


def read_baseline(folder: Path) -> Baseline | None:
    """Read the baseline; None where none was accepted yet.

    Raises:
        DataError: Files of it are missing, damaged, not the accepted ones, or of another version of Gossamer.
    """
    paths = [folder / name for name in (ACCEPTED, MEASURED, PREDICTIONS)]
    if not any(path.exists() for path in paths):
        return None
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path}: missing beside the rest of the baseline; restore {folder} from git")
    accepted = read_accepted(folder)
    for path, digest in zip(paths[1:], (accepted.measure_sha256, accepted.predictions_sha256), strict=True):
        if sha256_of(path) != digest:
            raise DataError(
                f"{path}: not the file that {paths[0]} names; restore {folder} from git, or remove it in a commit of "
                "its own and run gossamer baseline accept"
            )
    remove = f"git rm {' '.join(map(str, paths))}, commit, then gossamer baseline accept"
    return Baseline(read_measurement(paths[1], remove), read_predictions(paths[2]), accepted)


def why_not_comparable_headlines(headline: str, predictions: Predictions, baseline: Baseline) -> str:
    """Why the decisions on the headlines of a run and of the baseline cannot be paired; empty where they can.

    Args:
        headline: Test set that the run's verdict stands on.
        predictions: The run's predictions, on all its test sets.
        baseline: The accepted baseline.
    """
    before = baseline.measurement.headline
    if headline != before:
        return f"this run's verdict stands on the test set {headline}, the baseline's on {before}"
    return why_not_comparable(predictions.of_set(headline), baseline.headline_predictions)


def read_accepted(folder: Path) -> Accepted:
    """Read accepted.json; any byte of it that changed since it was written is found.

    Raises:
        DataError: The file is missing, changed, or of an earlier version.
    """
    path = folder / ACCEPTED
    accepted = read_json(path, Accepted)
    remedy = "remove it in a commit of its own and run gossamer baseline accept"
    if not accepted.id:
        raise DataError(f"{path}: no id, as earlier versions wrote it; {remedy}")
    if accepted != accepted.with_id() or path.read_bytes() != encode_json(accepted):
        raise DataError(
            f"{path}: changed since it was written: its contents do not give its id; restore {folder} from git, or "
            + remedy
        )
    return accepted


def write_baseline(
    folder: Path,
    measured: Path,
    predictions: Path,
    release: Release = NOWHERE,
    timeable: Sequence[str] = (),
) -> Baseline:
    """Copy a measurement and its predictions into the baseline's folder.

    Args:
        folder: benchmarks/baseline.
        measured: metrics/measure.json.
        predictions: data/predictions.parquet.
        release: The revision that the artifacts come from.
        timeable: Artifacts that this machine can time.

    Raises:
        DataError: One of them is missing or damaged.
    """
    table, measurement = read_predictions(predictions), read_measurement(measured)
    accepted = Accepted(
        measure_sha256=sha256_of(measured),
        predictions_sha256=sha256_of(predictions),
        selfies_dataset_id=table.of_set(measurement.headline).dataset_id(),
        checkpoint_id=measurement.checkpoint.id,
        release=release.name,
        revision=release.revision,
        artifacts={name: row.sha256 for name, row in measurement.artifacts.items()},
        timeable=tuple(timeable),
    ).with_id()
    (folder / ACCEPTED).unlink(missing_ok=True)
    for source, name in ((measured, MEASURED), (predictions, PREDICTIONS)):
        with atomic_write(folder / name) as file:
            file.write(source.read_bytes())
    write_json(folder / ACCEPTED, accepted)
    return Baseline(measurement, table, accepted)

"""The predictions table: probabilities of the checkpoint and of every artifact on every selfie.

Reads and writes data/predictions.parquet, one row per selfie. Columns: ``id``, ``sha256``, ``label`` (the true label),
``set`` (name of the test set), ``factors`` (a JSON object; there is no such column if no selfie has factors), then one
column of probabilities for the checkpoint and for each artifact: fixed-size lists of float32, in the order of the
labels. The schema's metadata has labels and thresholds. The same values give the same bytes. The gate pairs the rows of
two such tables.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.config.selfie_params import RENDERED
from pipeline.data.hashing import dataset_id
from pipeline.data.storage import atomic_write
from pipeline.errors import DataError
from pipeline.metrics.classification import decide

CHECKPOINT = "checkpoint"
_KEYS = ("id", "sha256", "label")
_SET, _FACTORS = "set", "factors"


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predictions of several models on one or several test sets.

    Attributes:
        ids: Id of each selfie, in the order of the rows.
        sha256: SHA-256 of each encoded selfie; the same id with other bytes is another selfie.
        targets: True labels as indices into ``labels``, int64 (n,).
        labels: Labels in the order of the probabilities; the last one is the positive label.
        thresholds: Column -> decision threshold of the positive label's probability, in [0, 1].
        probabilities: Column -> float32 (n, labels), in [0, 1]; the checkpoint's column is named ``checkpoint``.
        factors: Factor -> value of each selfie, from which slices are made; empty if none is known.
        sets: Name of each selfie's test set; empty where all are rendered.
    """

    ids: tuple[str, ...]
    sha256: tuple[str, ...]
    targets: NDArray[np.int64]
    labels: tuple[str, ...]
    thresholds: Mapping[str, float]
    probabilities: Mapping[str, NDArray[np.float32]]
    factors: Sequence[Mapping[str, str]] = ()
    sets: tuple[str, ...] = ()

    @property
    def set_names(self) -> tuple[str, ...]:
        """Names of the test sets, in the order of their rows."""
        return tuple(dict.fromkeys(self.set_of_rows))

    @property
    def set_of_rows(self) -> tuple[str, ...]:
        """Name of each selfie's test set."""
        return self.sets or (RENDERED,) * len(self.ids)

    def of_set(self, name: str) -> Predictions:
        """The rows of one test set; no rows where there is no such set."""
        rows = np.array([row for row, own in enumerate(self.set_of_rows) if own == name], np.int64)
        return self if len(rows) == len(self.ids) else self.select(rows)

    def select(self, rows: NDArray[np.int64]) -> Predictions:
        """Some of the rows, by their indices, int64 (n,)."""
        return Predictions(
            ids=tuple(self.ids[row] for row in rows),
            sha256=tuple(self.sha256[row] for row in rows),
            targets=self.targets[rows],
            labels=self.labels,
            thresholds=self.thresholds,
            probabilities={column: values[rows] for column, values in self.probabilities.items()},
            factors=tuple(self.factors[row] for row in rows) if self.factors else (),
            sets=tuple(self.sets[row] for row in rows) if self.sets else (),
        )

    def decisions(self, column: str) -> NDArray[np.int64]:
        """Decided label indices of one column, int64 (n,)."""
        return decide(self.probabilities[column], self.thresholds[column])

    def is_whole(self, column: str) -> bool:
        """Whether the column exists and all its values are finite; a NaN is not a decision."""
        return column in self.probabilities and bool(np.isfinite(self.probabilities[column]).all())

    def dataset_id(self) -> str:
        """SHA-256 over ids, bytes and labels of the selfies, independent of their order."""
        return dataset_id(zip(self.ids, self.sha256, (self.labels[t] for t in self.targets), strict=True))

    def content_hash(self) -> str:
        """SHA-256 over all values of the table, independent of the layout of the file it was read from."""
        columns = list(self.probabilities)
        factors = [dict(row) for row in self.factors] if any(self.factors) else []
        facts = [self.ids, self.sha256, self.targets.tolist(), self.labels, dict(self.thresholds), columns, factors]
        facts.append(self.set_of_rows)
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        for values in self.probabilities.values():
            digest.update(np.ascontiguousarray(values, "<f4").tobytes())
        return digest.hexdigest()


def join_predictions(tables: Sequence[Predictions]) -> Predictions:
    """Put the tables of several test sets into one; at least one.

    A model that has no column in one of them gets NaN there: it cannot be used on that set, but on the others.
    """
    first = tables[0]
    thresholds = {column: value for table in tables for column, value in table.thresholds.items()}

    def values(table: Predictions, column: str) -> NDArray[np.float32]:
        missing = np.full((len(table.ids), len(first.labels)), np.nan, np.float32)
        return table.probabilities.get(column, missing)

    return Predictions(
        ids=tuple(key for table in tables for key in table.ids),
        sha256=tuple(digest for table in tables for digest in table.sha256),
        targets=np.concatenate([table.targets for table in tables]),
        labels=first.labels,
        thresholds=thresholds,
        probabilities={column: np.concatenate([values(table, column) for table in tables]) for column in thresholds},
        factors=tuple(row for table in tables for row in (table.factors or ({},) * len(table.ids))),
        sets=tuple(name for table in tables for name in table.set_of_rows),
    )


def write_predictions(path: Path, table: Predictions) -> None:
    """Write the table; the same values give the same bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "id": pa.array(table.ids, pa.string()),
        "sha256": pa.array(table.sha256, pa.string()),
        "label": pa.array([table.labels[target] for target in table.targets], pa.string()),
        _SET: pa.array(table.set_of_rows, pa.string()),
    }
    if any(table.factors):
        columns[_FACTORS] = pa.array([json.dumps(dict(row), sort_keys=True) for row in table.factors], pa.string())
    for name, values in table.probabilities.items():
        flat = pa.array(np.ascontiguousarray(values, np.float32).ravel())
        columns[name] = pa.FixedSizeListArray.from_arrays(flat, len(table.labels))
    metadata = {"labels": json.dumps(table.labels), "thresholds": json.dumps(dict(table.thresholds), sort_keys=True)}
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns, metadata=metadata), buffer, compression="zstd")
    with atomic_write(path) as file:
        file.write(buffer.getvalue())


def read_predictions(path: Path) -> Predictions:
    """Read a predictions table.

    Raises:
        DataError: The file is missing, or is no predictions table.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise DataError(f"{path}: missing; expected a predictions table; run dvc repro measure")
    try:
        table = pq.read_table(path)
        metadata = table.schema.metadata or {}
        labels = tuple(json.loads(metadata[b"labels"]))
        thresholds = json.loads(metadata[b"thresholds"])
        ids, sha256, names = (table.column(key).to_pylist() for key in _KEYS)
        targets = np.array([labels.index(name) for name in names], np.int64)
        sets = tuple(table.column(_SET).to_pylist()) if _SET in table.column_names else ()
        encoded = table.column(_FACTORS).to_pylist() if _FACTORS in table.column_names else []
        factors = tuple(dict(json.loads(row)) for row in encoded)
        probabilities = {
            name: _matrix(table.column(name).combine_chunks(), len(labels))
            for name in table.column_names
            if name not in (*_KEYS, _SET, _FACTORS)
        }
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: not a predictions table ({error}); expected what measure writes; run dvc repro measure"
        ) from error
    if set(thresholds) != set(probabilities) or any(len(values) != len(ids) for values in probabilities.values()):
        raise DataError(
            f"{path}: thresholds and columns do not match; expected one threshold per column; run dvc repro measure"
        )
    return Predictions(tuple(ids), tuple(sha256), targets, labels, thresholds, probabilities, factors, sets)


def _matrix(column: object, labels: int) -> NDArray[np.float32]:
    flat = column.flatten().to_numpy(zero_copy_only=False)  # type: ignore[attr-defined]
    return np.asarray(flat, np.float32).reshape(-1, labels)

"""The predictions table: a round trip without loss, the same bytes twice, and files that are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.evaluation.predictions import (
    CHECKPOINT,
    Predictions,
    join_predictions,
    read_predictions,
    write_predictions,
)
from pipeline.errors import DataError

Table = Callable[..., Predictions]


def test_a_table_is_read_back_as_it_was_written(table: Table, tmp_path: Path) -> None:
    before = table(50)
    write_predictions(tmp_path / "predictions.parquet", before)
    after = read_predictions(tmp_path / "predictions.parquet")
    assert (after.ids, after.sha256, after.labels, after.thresholds) == (
        before.ids,
        before.sha256,
        before.labels,
        before.thresholds,
    )
    np.testing.assert_array_equal(after.targets, before.targets)
    for name, values in before.probabilities.items():
        np.testing.assert_array_equal(after.probabilities[name], values)
        assert after.probabilities[name].dtype == np.float32


def test_factors_are_read_back_and_are_no_predictions(table: Table, tmp_path: Path) -> None:
    rows = tuple({"light": "night", "skin_tone": f"monk_{row:02}"} for row in range(4))
    before = replace(table(4), factors=rows)
    write_predictions(tmp_path / "p", before)
    after = read_predictions(tmp_path / "p")
    assert after.factors == rows
    assert after.probabilities.keys() == before.probabilities.keys()
    assert after.dataset_id() == table(4).dataset_id(), "factors are not part of the id"
    write_predictions(tmp_path / "p", replace(table(4), factors=({},) * 4))
    assert read_predictions(tmp_path / "p").factors == ()


def test_the_same_predictions_give_the_same_bytes(table: Table, tmp_path: Path) -> None:
    for name in "ab":
        write_predictions(tmp_path / name, table(50))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_three_labels_keep_three_probabilities(tmp_path: Path) -> None:
    values = np.array([[0.2, 0.5, 0.3], [0.7, 0.1, 0.2]], np.float32)
    three = Predictions(
        ("a", "b"), ("x", "y"), np.array([1, 2]), ("r", "g", "b"), {CHECKPOINT: 0.5}, {CHECKPOINT: values}
    )
    write_predictions(tmp_path / "p", three)
    after = read_predictions(tmp_path / "p")
    np.testing.assert_array_equal(after.probabilities[CHECKPOINT], values)
    assert after.decisions(CHECKPOINT).tolist() == [1, 0]


def test_other_tools_read_one_column_per_field_and_model(table: Table, tmp_path: Path) -> None:
    write_predictions(tmp_path / "p", table(4))
    plain = pq.read_table(tmp_path / "p").to_pylist()
    assert plain[1]["id"] == "selfie-1"
    assert plain[1]["label"] == "helmet"
    assert len(plain[1]["onnx-float32"]) == 2


def test_every_row_names_its_test_set_and_a_file_without_that_column_is_all_rendered(
    table: Table, tmp_path: Path
) -> None:
    street = replace(table(3, prefix="street"), sets=("street",) * 3)
    joined = join_predictions([table(4), street])
    write_predictions(tmp_path / "p", joined)
    assert pq.read_table(tmp_path / "p").column("set").to_pylist() == ["rendered"] * 4 + ["street"] * 3
    after = read_predictions(tmp_path / "p")
    assert after.content_hash() == joined.content_hash()
    assert after.of_set("street").content_hash() == street.content_hash()
    assert after.of_set("rendered").dataset_id() == table(4).dataset_id()
    write_predictions(tmp_path / "old", table(4))
    whole = pq.read_table(tmp_path / "old")
    pq.write_table(whole.drop_columns("set"), tmp_path / "old")
    assert read_predictions(tmp_path / "old").set_names == ("rendered",)


def test_the_same_rows_of_another_set_have_another_hash(table: Table) -> None:
    assert replace(table(4), sets=("street",) * 4).content_hash() != table(4).content_hash()


def test_a_nan_is_read_back_as_nan(table: Table, tmp_path: Path) -> None:
    broken = table(4)
    broken.probabilities["onnx-float32"][2, 0] = np.nan
    write_predictions(tmp_path / "p", broken)
    after = read_predictions(tmp_path / "p")
    assert not after.is_whole("onnx-float32")
    assert after.is_whole(CHECKPOINT)
    assert not after.is_whole("no such column")


def test_the_dataset_id_depends_on_selfies_and_labels_and_not_on_their_order(table: Table) -> None:
    first = table(10)
    backwards = replace(first, ids=first.ids[::-1], sha256=first.sha256[::-1], targets=first.targets[::-1])
    assert backwards.dataset_id() == first.dataset_id()
    assert replace(first, targets=1 - first.targets).dataset_id() != first.dataset_id()
    assert replace(first, sha256=("f" * 64, *first.sha256[1:])).dataset_id() != first.dataset_id()
    assert table(9).dataset_id() != first.dataset_id()


def test_a_missing_table_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing; .* run dvc repro measure"):
        read_predictions(tmp_path / "p")


@pytest.mark.parametrize("spoil", ["bytes", "metadata", "label", "thresholds", "width", "factors", "nothing"])
def test_a_file_that_is_no_predictions_table_is_refused(table: Table, tmp_path: Path, spoil: str) -> None:
    path = tmp_path / "p"
    write_predictions(path, table(6))
    whole = pq.read_table(path)
    metadata = dict(whole.schema.metadata)
    if spoil == "bytes":
        path.write_bytes(path.read_bytes()[:-20])
    elif spoil == "metadata":
        pq.write_table(whole.replace_schema_metadata({}), path)
    elif spoil == "label":
        pq.write_table(whole.replace_schema_metadata({**metadata, b"labels": json.dumps(["a", "b"])}), path)
    elif spoil == "thresholds":
        pq.write_table(whole.replace_schema_metadata({**metadata, b"thresholds": "{}"}), path)
    elif spoil == "width":
        pq.write_table(
            whole.replace_schema_metadata({**metadata, b"labels": json.dumps(["no_helmet", "helmet", "third"])}), path
        )
    elif spoil == "factors":
        pq.write_table(whole.append_column("factors", pa.array(["no JSON"] * 6)), path)
    else:
        pq.write_table(pa.table({"id": ["a"]}, metadata=metadata), path)
    with pytest.raises(DataError, match="run dvc repro measure"):
        read_predictions(path)

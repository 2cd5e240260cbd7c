"""Tar shards and their index: round trip, determinism, and errors for missing or changed bytes."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.data.decoding.decode import decode
from pipeline.data.preprocess import PreprocessSpec, encode_png
from pipeline.data.records import Image
from pipeline.data.shards import (
    INDEX,
    Encoded,
    iterate_pixels,
    load_batch,
    read_bytes,
    read_index,
    read_pixels,
    shard_name,
    write_shard,
)
from pipeline.errors import DataError
from tests.pipeline.squares import LABELS, SIZE, draw_square, write_squares

SPEC = PreprocessSpec(input_size=SIZE)


@pytest.fixture
def rows(tmp_path: Path) -> list[Image]:
    return write_squares(tmp_path, LABELS * 4)


def test_images_are_read_back_in_order(rows: list[Image], tmp_path: Path) -> None:
    assert read_index(tmp_path) == rows
    assert [row.shard for row in rows] == [shard_name(0)] * 4 + [shard_name(1)] * 4
    for number, pixels in enumerate(iterate_pixels(tmp_path, rows)):
        np.testing.assert_array_equal(pixels, draw_square(LABELS[number % 2], number))


def test_a_shard_is_a_plain_tar_that_any_tool_opens(rows: list[Image], tmp_path: Path) -> None:
    with tarfile.open(tmp_path / rows[0].shard) as tar:
        members = tar.getmembers()
        assert [member.name for member in members] == [f"{row.id}.png" for row in rows[:4]]
        for member, row in zip(members, rows, strict=False):
            file = tar.extractfile(member)
            assert file is not None
            assert file.read() == read_bytes(tmp_path, row)
            assert (member.uid, member.mtime, member.uname) == (0, 0, "")


def test_equal_images_give_equal_shards_and_indexes(rows: list[Image], tmp_path: Path) -> None:
    write_squares(tmp_path / "again", LABELS * 4)
    for name in (shard_name(0), shard_name(1), INDEX):
        assert (tmp_path / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert len(rows) == 8


def test_a_failed_write_leaves_no_file(tmp_path: Path) -> None:
    def stop() -> Iterator[Encoded]:
        yield Encoded("a", "g", "low", {}, b"\x89PNG", 1, 1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shard(tmp_path / "images", shard_name(0), stop())
    assert list((tmp_path / "images").iterdir()) == []


def test_a_missing_shard_or_index_is_an_error_with_its_name(rows: list[Image], tmp_path: Path) -> None:
    (tmp_path / rows[0].shard).unlink()
    with pytest.raises(DataError, match=rf"{rows[0].shard}: missing; named by .*{INDEX}; run dvc repro"):
        read_pixels(tmp_path, rows[0])
    with pytest.raises(DataError, match=rf"{INDEX}: missing"):
        read_index(tmp_path / "elsewhere")


def test_a_changed_byte_is_an_error(rows: list[Image], tmp_path: Path) -> None:
    path = tmp_path / rows[1].shard
    data = bytearray(path.read_bytes())
    data[rows[1].offset + 40] ^= 1
    path.write_bytes(data)
    assert read_pixels(tmp_path, rows[0]).shape == (*SIZE, 3)
    with pytest.raises(DataError, match=f"image {rows[1].id} at byte {rows[1].offset} is not the one"):
        read_pixels(tmp_path, rows[1])


def test_a_batch_has_the_given_rows_in_order_at_the_input_size(rows: list[Image], tmp_path: Path) -> None:
    batch = load_batch(tmp_path, [rows[6], rows[1], rows[6]], SPEC)
    assert batch.shape == (3, *SIZE, 3)
    assert batch.dtype == np.uint8
    np.testing.assert_array_equal(batch[0], batch[2])
    np.testing.assert_array_equal(batch[1], decode(read_bytes(tmp_path, rows[1])))
    assert load_batch(tmp_path, rows[:2], PreprocessSpec(input_size=(24, 16))).shape == (2, 24, 16, 3)
    assert load_batch(tmp_path, [], SPEC).shape == (0, *SIZE, 3)


@pytest.mark.parametrize("length", [95, 96, 97, 200, 5000])
def test_ids_of_any_length_and_alphabet_fit_into_a_tar(length: int, tmp_path: Path) -> None:
    ids = ["x" * length, "x" * (length - 1) + "y", "头" * length, "é" * length + "1", "é" * length + "2"]
    data = encode_png(draw_square(LABELS[0], 1))
    records = write_shard(tmp_path, "shard.tar", [Encoded(name, name, LABELS[0], {}, data, 1, 1) for name in ids])
    assert [record.id for record in records] == ids
    with tarfile.open(tmp_path / "shard.tar", encoding="utf-8") as tar:
        assert len(set(tar.getnames())) == len(ids)
        assert all(len(name.encode()) <= 100 for name in tar.getnames())
    assert [read_bytes(tmp_path, record) for record in records] == [data] * len(ids)

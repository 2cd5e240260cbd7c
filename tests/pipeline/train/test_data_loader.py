from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipeline.config.params import TrainParams, load_params
from pipeline.data.preprocess import PreprocessSpec
from pipeline.data.records import Image
from pipeline.errors import DataError
from pipeline.train import data_loader
from pipeline.train.data_loader import Pictures, Plan, draw_epoch, draw_order
from tests.pipeline.squares import LABELS, SIZE, draw_square, write_squares

SPEC = PreprocessSpec(input_size=SIZE)
PLAN = Plan(3, (slice(0, 2), slice(2, 5)))


@pytest.fixture
def params(root: Path) -> TrainParams:
    return load_params(root / "params.yaml").train


@pytest.fixture
def rows(tmp_path: Path) -> list[Image]:
    return write_squares(tmp_path, LABELS * 8)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as opened:
        yield opened


def stream(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_labels_take_equal_shares_however_rare_they_are() -> None:
    targets = np.array([0] * 30 + [1] * 4)
    order = draw_order(targets, 34, stream())
    assert Counter(targets[order].tolist()) == {0: 17, 1: 17}
    common, rare = order[targets[order] == 0], order[targets[order] == 1]
    assert len(set(common.tolist())) == 17
    assert set(Counter(rare.tolist()).values()) == {4, 5}


def test_balanced_rows_are_all_shown_once_in_another_order_each_time() -> None:
    targets = np.arange(20) % 2
    first, second = draw_order(targets, 20, stream(1)), draw_order(targets, 20, stream(2))
    assert sorted(first) == sorted(second) == list(range(20))
    assert first.tolist() != second.tolist()
    assert draw_order(targets, 20, stream(1)).tolist() == first.tolist()


def test_an_odd_count_and_more_labels_than_pictures_are_drawn() -> None:
    targets = np.arange(9) % 3
    assert len(draw_order(targets, 7, stream())) == 7
    assert Counter(targets[draw_order(targets, 2, stream())].tolist()) == {0: 1, 1: 1}


def test_an_epoch_comes_in_whole_batches_of_the_planned_parts(
    params: TrainParams, rows: list[Image], tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    pictures = Pictures(tmp_path, rows, LABELS, SPEC, pool)
    drawn = list(draw_epoch(pictures, PLAN, params.model_copy(update={"augment": 0.0}), 0, pool))
    assert [[len(part.targets) for part in parts] for parts in drawn] == [[2, 3]] * 3
    assert (PLAN.batch_size, PLAN.images) == (5, 15)
    for part in (part for parts in drawn for part in parts):
        for pixels, target in zip(part.pixels, part.targets, strict=True):
            same = [n for n in range(16) if np.array_equal(draw_square(LABELS[n % 2], n), pixels)]
            assert [n % 2 for n in same] == [target]


def test_an_epoch_is_drawn_alike_by_any_number_of_threads_and_unlike_the_next(
    params: TrainParams, rows: list[Image], tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    def pixels(epoch: int, threads: int) -> np.ndarray:
        with ThreadPoolExecutor(threads) as own:
            pictures = Pictures(tmp_path, rows, LABELS, SPEC, pool)
            changed = params.model_copy(update={"threads": threads})
            parts = [part for batch in draw_epoch(pictures, PLAN, changed, epoch, own) for part in batch]
            return np.concatenate([part.pixels for part in parts])

    np.testing.assert_array_equal(pixels(4, 1), pixels(4, 3))
    assert not np.array_equal(pixels(4, 1), pixels(5, 1))


def test_pixels_that_do_not_fit_in_memory_are_read_when_needed(
    rows: list[Image], tmp_path: Path, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Pictures(tmp_path, rows, LABELS, SPEC, pool)
    monkeypatch.setattr(data_loader, "HELD_BYTES", 16 * 48 * 32 * 3 - 1)
    read = Pictures(tmp_path, rows, LABELS, SPEC, pool)
    chosen = np.array([11, 2, 2, 15])
    np.testing.assert_array_equal(held.read(chosen), read.read(chosen))
    assert held.targets.tolist() == read.targets.tolist() == [0, 1] * 8
    for path in tmp_path.glob("*.tar"):
        path.unlink()
    assert held.read(chosen).shape == (4, *SIZE, 3)
    with pytest.raises(DataError, match="missing"):
        read.read(chosen)


def test_a_picture_that_cannot_be_read_stops_the_epoch(
    params: TrainParams, rows: list[Image], tmp_path: Path, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_loader, "HELD_BYTES", 0)
    pictures = Pictures(tmp_path, rows, LABELS, SPEC, pool)
    (tmp_path / rows[0].shard).unlink()
    with pytest.raises(DataError, match=rf"{rows[0].shard}: missing"):
        list(draw_epoch(pictures, PLAN, params, 0, pool))

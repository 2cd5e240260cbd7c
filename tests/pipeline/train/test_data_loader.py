"""Batches of training images: balanced labels, determinism, memory limit and errors."""

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
from pipeline.train.data_loader import EpochPlan, ImageDataset, load_epoch, sample_rows
from tests.pipeline.squares import LABELS, SIZE, draw_square, write_squares

SPEC = PreprocessSpec(input_size=SIZE)
PLAN = EpochPlan(3, (slice(0, 2), slice(2, 5)))


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


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_every_label_has_an_equal_share_however_rare_it_is() -> None:
    targets = np.array([0] * 30 + [1] * 4)
    order = sample_rows(targets, 34, rng())
    assert Counter(targets[order].tolist()) == {0: 17, 1: 17}
    common, rare = order[targets[order] == 0], order[targets[order] == 1]
    assert len(set(common.tolist())) == 17
    assert set(Counter(rare.tolist()).values()) == {4, 5}


def test_balanced_rows_are_used_once_per_epoch_in_another_order_each_time() -> None:
    targets = np.arange(20) % 2
    first, second = sample_rows(targets, 20, rng(1)), sample_rows(targets, 20, rng(2))
    assert sorted(first) == sorted(second) == list(range(20))
    assert first.tolist() != second.tolist()
    assert sample_rows(targets, 20, rng(1)).tolist() == first.tolist()


def test_counts_that_labels_do_not_divide_are_sampled() -> None:
    targets = np.arange(9) % 3
    assert len(sample_rows(targets, 7, rng())) == 7
    assert Counter(targets[sample_rows(targets, 2, rng())].tolist()) == {0: 1, 1: 1}


def test_an_epoch_has_whole_batches_of_the_planned_micro_batches(
    params: TrainParams, rows: list[Image], tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    dataset = ImageDataset(tmp_path, rows, LABELS, SPEC, pool)
    batches = list(load_epoch(dataset, PLAN, params.model_copy(update={"augment": 0.0}), 0, pool))
    assert [[len(part.targets) for part in parts] for parts in batches] == [[2, 3]] * 3
    assert (PLAN.batch_size, PLAN.images) == (5, 15)
    for part in (part for parts in batches for part in parts):
        for pixels, target in zip(part.pixels, part.targets, strict=True):
            same = [n for n in range(16) if np.array_equal(draw_square(LABELS[n % 2], n), pixels)]
            assert [n % 2 for n in same] == [target]


def test_an_epoch_is_the_same_for_any_number_of_threads_and_differs_from_the_next(
    params: TrainParams, rows: list[Image], tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    def pixels(epoch: int, threads: int) -> np.ndarray:
        with ThreadPoolExecutor(threads) as own:
            dataset = ImageDataset(tmp_path, rows, LABELS, SPEC, pool)
            changed = params.model_copy(update={"threads": threads})
            parts = [part for batch in load_epoch(dataset, PLAN, changed, epoch, own) for part in batch]
            return np.concatenate([part.pixels for part in parts])

    np.testing.assert_array_equal(pixels(4, 1), pixels(4, 3))
    assert not np.array_equal(pixels(4, 1), pixels(5, 1))


def test_images_that_do_not_fit_in_memory_are_read_when_needed(
    rows: list[Image], tmp_path: Path, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory = ImageDataset(tmp_path, rows, LABELS, SPEC, pool)
    monkeypatch.setattr(data_loader, "MAX_MEMORY_BYTES", 16 * 48 * 32 * 3 - 1)
    on_disk = ImageDataset(tmp_path, rows, LABELS, SPEC, pool)
    chosen = np.array([11, 2, 2, 15])
    np.testing.assert_array_equal(in_memory.read(chosen), on_disk.read(chosen))
    assert in_memory.targets.tolist() == on_disk.targets.tolist() == [0, 1] * 8
    for path in tmp_path.glob("*.tar"):
        path.unlink()
    assert in_memory.read(chosen).shape == (4, *SIZE, 3)
    with pytest.raises(DataError, match="missing"):
        on_disk.read(chosen)


def test_an_image_that_cannot_be_read_stops_the_epoch(
    params: TrainParams, rows: list[Image], tmp_path: Path, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_loader, "MAX_MEMORY_BYTES", 0)
    dataset = ImageDataset(tmp_path, rows, LABELS, SPEC, pool)
    (tmp_path / rows[0].shard).unlink()
    with pytest.raises(DataError, match=rf"{rows[0].shard}: missing"):
        list(load_epoch(dataset, PLAN, params, 0, pool))

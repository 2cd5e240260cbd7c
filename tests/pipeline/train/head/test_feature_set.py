"""Features are computed once, whatever the number of threads, and read from the work area afterwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.data.preprocess import PreprocessSpec
from pipeline.data.work_cache import open_work
from pipeline.train.head.feature_set import BLOCK, FeatureSet, FeatureTable, Pictures
from tests.pipeline.squares import SIZE
from tests.pipeline.train.head.square_pictures import squares, tiny_classifier

COUNT = 2 * BLOCK + 3


def compute(folder: Path, pictures: Pictures, *, expert: bool, strength: float = 0.3, threads: int = 2) -> FeatureSet:
    with ThreadPoolExecutor(threads) as pool:
        cache = open_work(folder / "checkpoint.work", "0" * 32)
        table = FeatureTable(tiny_classifier(expert=expert), PreprocessSpec(input_size=SIZE), cache, pool)
        return table.compute("train-0", pictures, strength, (7, 2), lambda _: None)


def equal(one: FeatureSet, other: FeatureSet) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in FeatureSet.__dataclass_fields__)


@pytest.mark.parametrize("expert", [False, True], ids=["head", "expert"])
def test_features_are_read_from_the_work_area_the_second_time(tmp_path: Path, expert: bool) -> None:
    pictures = squares(COUNT)
    first = compute(tmp_path, pictures, expert=expert)
    assert first.unit.shape == first.overall.shape == (COUNT, 64)
    assert first.coarse.shape[:2] == ((COUNT, 64) if expert else (COUNT, 0))

    def refuse(_: NDArray[np.int64]) -> NDArray[np.uint8]:
        raise AssertionError

    again = compute(tmp_path, Pictures(refuse, pictures.targets, pictures.origins), expert=expert)
    assert equal(first, again)


def test_the_number_of_threads_changes_nothing_and_the_strength_does(tmp_path: Path) -> None:
    pictures = squares(COUNT)
    two = compute(tmp_path / "two", pictures, expert=True)
    assert equal(compute(tmp_path / "one", pictures, expert=True, threads=1), two)
    assert not equal(compute(tmp_path / "weak", pictures, expert=True, strength=0.1), two)


def test_the_features_are_those_of_the_network(tmp_path: Path) -> None:
    pictures, network = squares(5), tiny_classifier(expert=True)
    found = compute(tmp_path, pictures, expert=True, strength=0.0)
    pixels = torch.from_numpy(pictures.read(np.arange(5))).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        maps = network.maps(pixels)
        torch.testing.assert_close(torch.from_numpy(found.unit), network.pool(maps[1]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(torch.from_numpy(found.coarse).float(), maps[1], rtol=1e-2, atol=1e-2)


def test_sets_are_joined_row_by_row(tmp_path: Path) -> None:
    one = compute(tmp_path, squares(5), expert=True)
    both = FeatureSet.join([one, one])
    assert both.fine.shape == (10, *one.fine.shape[1:])
    assert np.array_equal(both.unit[5:], one.unit)

"""The head on frozen features: where it looks, what its directions are, and that features are computed once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.data.preprocess import PreprocessSpec
from pipeline.data.work_cache import open_work
from pipeline.errors import DataError
from pipeline.train.feature_classifier import FeatureClassifier, build_feature_classifier
from pipeline.train.feature_head import FeatureTable, Pictures, fit_directions, fit_head, weigh_cells
from tests.pipeline.squares import LABELS, SIZE, draw_square

CELLS = (4, 2)
SPEC = PreprocessSpec(input_size=SIZE)


def squares(count: int, origins: tuple[str, ...] = ("a",), seed: int = 0) -> Pictures:
    """Pictures with a square in the lower half (label 0) or in the upper half (label 1), in turn."""
    targets = np.arange(count) % 2
    pixels = np.stack([draw_square(LABELS[target], seed + row) for row, target in enumerate(targets)])
    named = np.array([origins[row // 2 % len(origins)] for row in range(count)])
    return Pictures(lambda rows: pixels[rows], targets, named)


def numbers(rows: NDArray[np.float64], targets: list[int], origins: list[str]) -> tuple[NDArray[np.float64], Pictures]:
    """Features that are given, of pictures that are not read."""
    return rows, Pictures(lambda _: np.empty(0, np.uint8), np.array(targets), np.array(origins))


@pytest.fixture
def network() -> FeatureClassifier:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return build_feature_classifier("test_efficientnet", 2, "none", "symmetric", SIZE).eval()


@pytest.fixture
def pool() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


def test_cells_weigh_as_much_as_the_labels_differ_in_them() -> None:
    pictures = squares(64)
    bright = Pictures(lambda rows: pictures.read(rows) // 4 * 3 + 60, pictures.targets, pictures.origins)
    weights = weigh_cells(pictures, CELLS)
    assert weights.shape == CELLS
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(weigh_cells(bright, CELLS), weights, atol=0.01)
    top = np.zeros((64, *SIZE, 3), np.uint8)
    top[pictures.targets == 1, :12] = 200  # the labels differ in the first row of cells only
    assert weigh_cells(Pictures(lambda rows: top[rows], pictures.targets, pictures.origins), CELLS)[0].sum() > 0.999


def test_directions_are_averaged_over_origins_not_over_pictures() -> None:
    up, right = np.array([0.0, 1.0]), np.array([1.0, 0.0])
    few = np.stack([-up, up])
    many = np.tile(np.stack([-right, right]), (50, 1))
    features, pictures = numbers(np.concatenate([few, many]), [0, 1] * 51, ["few"] * 2 + ["many"] * 100)
    weight, bias = fit_directions(features, pictures)
    direction = weight[1] - weight[0]
    np.testing.assert_allclose(direction / np.linalg.norm(direction), np.sqrt([0.5, 0.5]))
    np.testing.assert_allclose(bias, 0, atol=1e-12)


def test_the_boundary_is_the_mean_of_the_midpoints_of_the_origins() -> None:
    rows = np.array([[0.0], [1.0], [4.0], [9.0]])  # midpoints 0.5 and 6.5
    weight, bias = fit_directions(*numbers(rows, [0, 1, 0, 1], ["a", "a", "b", "b"]))
    assert float(-(bias[1] - bias[0]) / (weight[1] - weight[0])[0]) == pytest.approx(3.5)


def test_three_labels_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    targets = np.repeat([0, 1, 2], 40)
    features = np.eye(3)[targets] + rng.normal(0, 0.1, (120, 3))
    weight, bias = fit_directions(*numbers(features, targets.tolist(), ["a"] * 120))
    assert ((features @ weight.T + bias).argmax(1) == targets).all()


def test_an_origin_without_one_of_the_labels_gives_no_direction() -> None:
    rows = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 50.0]])
    weight, _ = fit_directions(*numbers(rows, [0, 1, 1], ["a", "a", "b"]))
    np.testing.assert_allclose(weight[:, 1], 0)
    with pytest.raises(DataError, match=r"no generator drew pictures of every label; .*generate.mix"):
        fit_directions(*numbers(rows[:2], [0, 1], ["a", "b"]))


def test_the_head_learns_and_its_features_are_computed_once(
    network: FeatureClassifier, pool: Executor, tmp_path: Path
) -> None:
    train, val = squares(160, ("a", "b")), squares(60, ("a", "b"), seed=5000)
    network.cell_weights.copy_(torch.from_numpy(weigh_cells(train, network.cells)))
    done: list[int] = []
    fitted = list(fit_head(train, val, table(network, pool, tmp_path), (0.2, 7, 2), done.append))
    assert [head.passes for head in fitted] == [1, 2]
    assert sum(done) == 2 * 160 + 2 * 60
    assert fitted[-1].val_accuracy > 0.8
    np.testing.assert_allclose(fitted[-1].val_probabilities.sum(1), 1)

    def refuse(_: NDArray[np.int64]) -> NDArray[np.uint8]:
        raise AssertionError

    again = [Pictures(refuse, pictures.targets, pictures.origins) for pictures in (train, val)]
    resumed = list(fit_head(*again, table(network, pool, tmp_path), (0.2, 7, 2), done.append))
    assert all(np.array_equal(a.weight, b.weight) for a, b in zip(fitted, resumed, strict=True))


def table(network: FeatureClassifier, pool: Executor, folder: Path) -> FeatureTable:
    return FeatureTable(network, SPEC, open_work(folder / "checkpoint.work", "0" * 32), pool)

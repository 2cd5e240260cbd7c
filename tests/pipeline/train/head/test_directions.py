"""The head on frozen features: where it looks, and what its directions are."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.train.head.directions import fit_directions, fit_head, weigh_cells
from pipeline.train.head.feature_set import Pictures
from tests.pipeline.squares import SIZE
from tests.pipeline.train.head.square_pictures import squares

CELLS = (4, 2)


def numbers(rows: NDArray[np.float64], targets: list[int], origins: list[str]) -> tuple[NDArray[np.float64], Pictures]:
    """Features that are given, of pictures that are not read."""
    return rows, Pictures(lambda _: np.empty(0, np.uint8), np.array(targets), np.array(origins))


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


def test_the_scale_of_the_scores_is_calibrated_on_validation_pictures() -> None:
    rng = np.random.default_rng(4)
    targets = np.arange(2000) % 2
    features = ((targets * 2 - 1)[:, None] + rng.normal(0, 1, (2000, 1))) / 10
    rows, pictures = numbers(features[:1000], targets[:1000].tolist(), ["a"] * 1000)
    weight, bias = fit_head(rows, pictures, features[1000:], targets[1000:])
    # Two normal distributions of standard deviation 0.1 around -0.1 and 0.1: the log-odds of x are 20 x.
    assert float((weight[1] - weight[0])[0]) == pytest.approx(20, rel=0.15)
    assert float(bias[1] - bias[0]) == pytest.approx(0, abs=0.2)

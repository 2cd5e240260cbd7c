"""Outliers: an image unlike all others scores lowest, in whichever half of the set it is."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.curate import outliers
from pipeline.curate.outliers import score_outliers


def cloud(count: int) -> NDArray[np.float32]:
    return (np.random.default_rng(0).normal(size=(count, 8)) * 0.1 + 1).astype(np.float32)


def score(features: NDArray[np.float32]) -> NDArray[np.float64]:
    return score_outliers(lambda rows: features[rows], len(features), lambda: None)


@pytest.mark.parametrize("row", [6, 7])
def test_an_outlier_scores_lowest(row: int) -> None:
    features = cloud(80)
    features[row] = -features[row]
    scores = score(features)
    assert scores.argmin() == row
    assert scores[row] < 0.01 < np.delete(scores, row).min()
    assert scores.max() <= 1


def test_a_large_set_is_read_in_parts_and_compared_with_a_subsample(monkeypatch: pytest.MonkeyPatch) -> None:
    features, sizes = cloud(200), list[int]()
    features[31] = -features[31]
    monkeypatch.setattr(outliers, "MAX_REFERENCE_IMAGES", 30)
    monkeypatch.setattr(outliers, "ROWS_PER_READ", 40)

    def read(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        sizes.append(len(rows))
        return features[rows]

    assert score_outliers(read, 200, lambda: None).argmin() == 31
    assert max(sizes) == 40


def test_too_few_images_give_no_outlier_score() -> None:
    assert score(cloud(20)).min() == 1

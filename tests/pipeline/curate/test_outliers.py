"""Outliers: what is like nothing else scores low, whatever half of the set it is in."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.curate import outliers
from pipeline.curate.outliers import score_outliers


def cloud(count: int) -> NDArray[np.float32]:
    return (np.random.default_rng(0).normal(size=(count, 8)) * 0.1 + 1).astype(np.float32)


def scored(features: NDArray[np.float32]) -> NDArray[np.float64]:
    return score_outliers(lambda rows: features[rows], len(features), lambda: None)


@pytest.mark.parametrize("place", [6, 7])
def test_a_stranger_scores_lowest(place: int) -> None:
    features = cloud(80)
    features[place] = -features[place]
    scores = scored(features)
    assert scores.argmin() == place
    assert scores[place] < 0.01 < np.delete(scores, place).min()
    assert scores.max() <= 1


def test_a_large_set_is_read_in_parts_and_compared_with_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    features, asked = cloud(200), list[int]()
    features[31] = -features[31]
    monkeypatch.setattr(outliers, "REFERENCE", 30)
    monkeypatch.setattr(outliers, "READ_AT_ONCE", 40)

    def read(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        asked.append(len(rows))
        return features[rows]

    assert score_outliers(read, 200, lambda: None).argmin() == 31
    assert max(asked) == 40


def test_of_a_handful_nothing_is_said() -> None:
    assert scored(cloud(20)).min() == 1

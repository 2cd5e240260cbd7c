from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from export.quantisation.calibration import merge_ranges
from pipeline.data.records import Image
from pipeline.data.stratified_subset import choose_rows


def row(number: int, label: str, **factors: str) -> Image:
    return Image(
        id=f"i{number}",
        group="g",
        label=label,
        factors=factors,
        shard="s",
        offset=0,
        size_bytes=1,
        sha256="0",
        width=1,
        height=1,
    )


@pytest.fixture
def crowd() -> list[Image]:
    chance = np.random.default_rng(3)
    lights = chance.choice(["day", "dusk", "night"], 900, p=[0.7, 0.2, 0.1])
    return [
        row(n, ("no", "yes")[int(n % 4 == 0)], light=str(light), tone=str(n % 10)) for n, light in enumerate(lights)
    ]


def test_a_choice_has_the_shares_of_the_whole(crowd: list[Image]) -> None:
    chosen = choose_rows(crowd, 60, 1)
    labels, lights = Counter(r.label for r in chosen), Counter(r.factors["light"] for r in chosen)
    tones = Counter(r.factors["tone"] for r in chosen)
    assert abs(labels["yes"] - 15) <= 1
    share = Counter(r.factors["light"] for r in crowd)
    assert all(abs(lights[light] - 60 * share[light] / 900) <= 1 for light in share)
    assert set(tones) == {str(n) for n in range(10)}
    assert max(tones.values()) - min(tones.values()) <= 2


def test_a_choice_is_the_same_whatever_the_order_and_another_for_another_seed(crowd: list[Image]) -> None:
    ids = [r.id for r in choose_rows(crowd, 40, 1)]
    assert ids == [r.id for r in choose_rows(crowd[::-1], 40, 1)]
    assert ids != [r.id for r in choose_rows(crowd, 40, 2)]
    assert len(set(ids)) == 40


def test_a_smaller_choice_is_the_beginning_of_a_larger_one(crowd: list[Image]) -> None:
    assert choose_rows(crowd, 20, 1) == choose_rows(crowd, 40, 1)[:20]


def test_photographs_without_factors_are_chosen_by_label() -> None:
    rows = [row(n, ("no", "yes")[n % 2]) for n in range(20)]
    assert Counter(r.label for r in choose_rows(rows, 6, 0)) == {"no": 3, "yes": 3}


def test_fewer_rows_than_asked_for_are_all_chosen_and_none_gives_none() -> None:
    rows = [row(n, "no") for n in range(3)]
    assert {r.id for r in choose_rows(rows, 10, 0)} == {"i0", "i1", "i2"}
    assert choose_rows([], 10, 0) == []


def test_one_odd_frame_does_not_stretch_a_range() -> None:
    lows, highs = np.full((100, 1), -1.0), np.full((100, 1), 2.0)
    lows[7], highs[7] = -90.0, 70.0
    low, high = merge_ranges(lows, highs, 95)
    assert (low[0], high[0]) == (-1.0, 2.0)
    low, high = merge_ranges(lows, highs, 100)
    assert (low[0], high[0]) == (-90.0, 70.0)


def test_a_range_always_holds_zero() -> None:
    low, high = merge_ranges(np.array([[2.0, -5.0]]), np.array([[3.0, -4.0]]), 100)
    assert low.tolist() == [0.0, -5.0]
    assert high.tolist() == [3.0, 0.0]

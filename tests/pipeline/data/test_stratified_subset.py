"""Stratified subsets: shares, seeds, prefixes, and too few rows."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

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
def rows() -> list[Image]:
    rng = np.random.default_rng(3)
    lights = rng.choice(["day", "dusk", "night"], 900, p=[0.7, 0.2, 0.1])
    return [
        row(n, ("no", "yes")[int(n % 4 == 0)], light=str(light), tone=str(n % 10)) for n, light in enumerate(lights)
    ]


def test_labels_and_factors_keep_their_shares(rows: list[Image]) -> None:
    chosen = choose_rows(rows, 60, 1)
    labels, lights = Counter(r.label for r in chosen), Counter(r.factors["light"] for r in chosen)
    tones = Counter(r.factors["tone"] for r in chosen)
    assert abs(labels["yes"] - 15) <= 1
    share = Counter(r.factors["light"] for r in rows)
    assert all(abs(lights[light] - 60 * share[light] / 900) <= 1 for light in share)
    assert set(tones) == {str(n) for n in range(10)}
    assert max(tones.values()) - min(tones.values()) <= 2


def test_the_choice_depends_on_the_seed_and_not_on_the_order_of_rows(rows: list[Image]) -> None:
    ids = [r.id for r in choose_rows(rows, 40, 1)]
    assert ids == [r.id for r in choose_rows(rows[::-1], 40, 1)]
    assert ids != [r.id for r in choose_rows(rows, 40, 2)]
    assert len(set(ids)) == 40


def test_a_smaller_subset_is_a_prefix_of_a_larger_one(rows: list[Image]) -> None:
    assert choose_rows(rows, 20, 1) == choose_rows(rows, 40, 1)[:20]


def test_photographs_without_factors_are_chosen_by_label() -> None:
    photographs = [row(n, ("no", "yes")[n % 2]) for n in range(20)]
    assert Counter(r.label for r in choose_rows(photographs, 6, 0)) == {"no": 3, "yes": 3}


def test_all_rows_are_chosen_if_there_are_too_few() -> None:
    few = [row(n, "no") for n in range(3)]
    assert {r.id for r in choose_rows(few, 10, 0)} == {"i0", "i1", "i2"}
    assert choose_rows([], 10, 0) == []

"""Split: no scene on both sides, no row lost, no group moved by more data."""

from __future__ import annotations

import pytest

from pipeline.config.params import SplitParams
from pipeline.data.records import Image
from pipeline.errors import DataError
from pipeline.split import run

PARAMS = SplitParams(val_fraction=0.2, seed=3)


def rows(groups: int, labels: tuple[str, ...] = ("no_helmet", "helmet")) -> list[Image]:
    return [
        Image(
            id=f"{group}-{label}-{seed}",
            group=f"scene-{group}",
            label=label,
            factors={"light": ("day", "night")[group % 2]},
            shard="shard-00000.tar",
            offset=512,
            size_bytes=10,
            sha256="0" * 64,
            width=96,
            height=128,
        )
        for group in range(groups)
        for label in labels
        for seed in range(2)
    ]


def test_no_group_is_on_both_sides_and_no_row_is_lost() -> None:
    kept = rows(200)
    split = run(PARAMS, kept)
    assert {row.group for row in split.train}.isdisjoint(row.group for row in split.val)
    assert sorted(row.id for row in (*split.train, *split.val)) == sorted(row.id for row in kept)


def test_rows_keep_their_order() -> None:
    kept = rows(50)
    split = run(PARAMS, kept)
    order = {row.id: position for position, row in enumerate(kept)}
    for side in (split.train, split.val):
        positions = [order[row.id] for row in side]
        assert positions == sorted(positions)


def test_the_held_out_share_is_as_configured_with_labels_and_factors_in_proportion() -> None:
    split = run(PARAMS, rows(1000))
    assert len(split.val) / 4000 == pytest.approx(0.2, abs=0.03)
    assert sum(row.label == "helmet" for row in split.val) * 2 == len(split.val)
    assert sum(row.factors["light"] == "night" for row in split.val) / len(split.val) == pytest.approx(0.5, abs=0.08)


def test_more_images_move_no_group() -> None:
    before = {row.id for row in run(PARAMS, rows(100)).val}
    after = run(PARAMS, rows(300))
    assert before <= {row.id for row in after.val}
    assert before.isdisjoint(row.id for row in after.train)


def test_the_split_does_not_depend_on_the_order_of_rows() -> None:
    kept = rows(60)
    assert {row.id for row in run(PARAMS, kept).val} == {row.id for row in run(PARAMS, kept[::-1]).val}


def test_another_seed_holds_out_other_groups() -> None:
    kept = rows(100)
    other = SplitParams(val_fraction=0.2, seed=4)
    assert {row.group for row in run(PARAMS, kept).val} != {row.group for row in run(other, kept).val}


def test_too_few_groups_for_both_sides_are_an_error() -> None:
    with pytest.raises(DataError, match=r"split.val_fraction: 0.2; found 4 kept images in 1 groups, none of"):
        run(PARAMS, rows(1))
    with pytest.raises(DataError, match="found 0 kept images in 0 groups, none of any label for training"):
        run(PARAMS, [])


def test_a_side_without_images_of_a_label_is_an_error() -> None:
    one_group = [*rows(100, ("helmet",)), *rows(1, ("no_helmet",))]
    with pytest.raises(DataError, match="none of no_helmet for"):
        run(PARAMS, one_group)

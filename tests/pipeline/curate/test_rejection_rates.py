"""Rejection rates of slices, and the slices that are rejected too often."""

from __future__ import annotations

import pytest

from pipeline.curate.rejection_rates import count_rejections, over_rejected_slices
from pipeline.data.records import Image
from pipeline.metrics.statistics import wilson_interval


def images(lights: dict[str, int]) -> list[Image]:
    names = [light for light, count in lights.items() for _ in range(count)]
    return [
        Image(
            id=f"{row}",
            group=f"{row}",
            label="yes" if row % 2 else "no",
            factors={"light": light},
            shard="s",
            offset=0,
            size_bytes=1,
            sha256="",
            width=1,
            height=1,
        )
        for row, light in enumerate(names)
    ]


def test_every_slice_has_its_rate_and_a_wilson_interval() -> None:
    slices = count_rejections(images({"day": 10, "night": 30}), {0, 1, 12})
    night = slices["light"]["night"]
    assert (night.name, night.images, night.rejected, night.rate) == ("light=night", 30, 1, 1 / 30)
    assert (night.low, night.high) == wilson_interval(1, 30)
    assert {value: row.rejected for value, row in slices["label"].items()} == {"no": 2, "yes": 1}
    assert list(slices) == ["label", "light"]


def test_a_slice_rejected_at_more_than_twice_the_average_rate_is_found() -> None:
    rejected = {1, 3, *range(300, 340)}
    over_rejected = over_rejected_slices(count_rejections(images({"day": 300, "night": 100}), rejected))
    assert [row.name for row in over_rejected] == ["light=night"]
    assert over_rejected[0].top_up == 67  # at a rate of 40 %, 67 prompts keep 40 images


def test_chance_rejections_among_few_images_are_not_reported() -> None:
    slices = count_rejections(images({"day": 395, "dusk": 5}), {0, 1, 2, 3, 4, 5, 6, 399})
    assert slices["light"]["dusk"].rate == pytest.approx(0.2)
    assert over_rejected_slices(slices) == []


def test_no_rejections_means_no_over_rejected_slices() -> None:
    assert over_rejected_slices(count_rejections(images({"day": 10}), set())) == []
    assert over_rejected_slices({}) == []

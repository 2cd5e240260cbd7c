"""What curation takes from each slice."""

from __future__ import annotations

import pytest

from pipeline.curate.rejection_rates import losing_slices, slice_losses
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
    losses = slice_losses(images({"day": 10, "night": 30}), {0, 1, 12})
    night = losses["light"]["night"]
    assert (night.name, night.count, night.lost, night.rate) == ("light=night", 30, 1, 1 / 30)
    assert (night.low, night.high) == wilson_interval(1, 30)
    assert {value: loss.lost for value, loss in losses["label"].items()} == {"no": 2, "yes": 1}
    assert list(losses) == ["label", "light"]


def test_a_slice_that_loses_more_than_twice_the_average_is_named() -> None:
    found = losing_slices(slice_losses(images({"day": 300, "night": 100}), set(range(300, 340)) | {1, 3}))
    assert [loss.name for loss in found] == ["light=night"]
    assert found[0].top_up == 67  # at a rate of 40 %, 67 prompts keep 40 images


def test_bad_luck_of_few_images_is_not_taken_for_bias() -> None:
    few = slice_losses(images({"day": 395, "dusk": 5}), {0, 1, 2, 3, 4, 5, 6, 399})
    assert few["light"]["dusk"].rate == pytest.approx(0.2)
    assert losing_slices(few) == []


def test_nothing_lost_is_no_bias() -> None:
    assert losing_slices(slice_losses(images({"day": 10}), set())) == []
    assert losing_slices({}) == []

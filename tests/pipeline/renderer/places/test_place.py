from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.renderer.light import sample_light
from pipeline.renderer.places.place import draw_place
from pipeline.renderer.vocabulary import VOCABULARY

EVEN = sample_light("day", 1)


@pytest.mark.parametrize("name", VOCABULARY["place"])
def test_a_place_fills_the_picture_and_varies(name: str) -> None:
    first, again, other = (draw_place(name, EVEN, seed, (96, 128)).pixels for seed in (1, 1, 2))
    assert first.shape == (128, 96, 3)
    assert np.array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 5
    assert first.std() > 8


def test_places_differ_from_each_other() -> None:
    pictures = [draw_place(name, EVEN, 6, (48, 64)).pixels.astype(int) for name in VOCABULARY["place"]]
    assert min(np.abs(a - b).mean() for at, a in enumerate(pictures) for b in pictures[:at]) > 10


def test_park_and_forest_are_green() -> None:
    for name in ("park", "forest"):
        red, green, blue = np.mean(
            [draw_place(name, EVEN, s, (48, 64)).pixels[30:].mean(axis=(0, 1)) for s in range(8)], axis=0
        )
        assert green > red
        assert green > blue


def test_a_place_has_a_glow_only_when_lamps_are_on() -> None:
    assert draw_place("street", EVEN, 2, (48, 64)).glow is None
    glow = draw_place("street", replace(EVEN, lamps=0.5), 2, (48, 64)).glow
    assert glow is not None
    assert glow.max() > 150
    assert glow.mean() < 90


def test_the_place_is_the_same_by_day_and_by_night() -> None:
    day, night = (draw_place("bridge", light, 3, (48, 64)).pixels for light in (EVEN, replace(EVEN, lamps=0.5)))
    assert np.array_equal(day, night)

from __future__ import annotations

import numpy as np
import pytest

from pipeline.renderer.light import sample_light
from pipeline.renderer.vocabulary import VOCABULARY


@pytest.mark.parametrize("name", VOCABULARY["light"])
def test_a_light_is_the_same_for_the_same_seed(name: str) -> None:
    assert sample_light(name, 3) == sample_light(name, 3)
    assert sample_light(name, 3) != sample_light(name, 4)


def test_lights_rank_by_how_much_reaches_the_person() -> None:
    level = {name: np.mean([np.mean(sample_light(name, s).subject) for s in range(60)]) for name in VOCABULARY["light"]}
    assert level["backlit"] < level["night"] < level["dusk"] < level["indoor"] < level["day"]


def test_a_backlit_background_is_brighter_than_day() -> None:
    assert all(min(sample_light("backlit", seed).surround) > 1.2 for seed in range(40))
    assert all(max(sample_light("backlit", seed).subject) < 0.15 for seed in range(40))


def test_night_has_two_kinds_and_the_most_noise() -> None:
    nights = [sample_light("night", seed) for seed in range(60)]
    flash = [light for light in nights if light.slope == 0.0]
    assert 15 < len(flash) < 45
    assert min(light.noise for light in nights) > max(sample_light("day", seed).noise for seed in range(60))


def test_lamps_are_on_only_at_dusk_and_night() -> None:
    shining = {name for name in VOCABULARY["light"] if sample_light(name, 5).lamps > 0}
    assert shining == {"dusk", "night"}


def test_dusk_is_warm() -> None:
    assert all(
        sample_light("dusk", seed).subject[0] > 1.3 * sample_light("dusk", seed).subject[2] for seed in range(30)
    )

from __future__ import annotations

import numpy as np
import pytest

from pipeline.renderer.light import shine
from pipeline.renderer.vocabulary import VOCABULARY


@pytest.mark.parametrize("name", VOCABULARY["light"])
def test_a_light_is_the_same_for_the_same_seed(name: str) -> None:
    assert shine(name, 3) == shine(name, 3)
    assert shine(name, 3) != shine(name, 4)


def test_lights_rank_by_how_much_reaches_the_person() -> None:
    level = {name: np.mean([np.mean(shine(name, s).subject) for s in range(60)]) for name in VOCABULARY["light"]}
    assert level["backlit"] < level["night"] < level["dusk"] < level["indoor"] < level["day"]


def test_behind_a_backlit_person_it_is_brighter_than_day() -> None:
    assert all(min(shine("backlit", seed).surround) > 1.2 for seed in range(40))
    assert all(max(shine("backlit", seed).subject) < 0.15 for seed in range(40))


def test_night_has_two_kinds_and_the_most_noise() -> None:
    nights = [shine("night", seed) for seed in range(60)]
    flash = [light for light in nights if light.slope == 0.0]
    assert 15 < len(flash) < 45
    assert min(light.noise for light in nights) > max(shine("day", seed).noise for seed in range(60))


def test_lamps_shine_at_dusk_and_night_alone() -> None:
    shining = {name for name in VOCABULARY["light"] if shine(name, 5).lamps > 0}
    assert shining == {"dusk", "night"}


def test_dusk_is_warm() -> None:
    assert all(shine("dusk", seed).subject[0] > 1.3 * shine("dusk", seed).subject[2] for seed in range(30))

from __future__ import annotations

import numpy as np
import pytest

from pipeline.renderer.canvas import Canvas
from pipeline.renderer.headwear.helmets import (
    Helmet,
    draw_loose_helmet,
    draw_rear,
    draw_shell,
    draw_straps,
    make_helmet,
)
from pipeline.renderer.palette import HEADWEAR
from pipeline.renderer.pose import Turn
from pipeline.renderer.vocabulary import HELMETS

AHEAD = Turn(0.0, 0.05)
SIZE = (160, 200)
MIDDLE = (80.0, 110.0)
UNIT = 50.0


def shell_only(helmet: Helmet, turn: Turn = AHEAD) -> np.ndarray:
    canvas = Canvas(SIZE)
    with canvas.placed(MIDDLE, UNIT):
        draw_shell(canvas, helmet, turn)
    return canvas.pixels()


def holes(helmet: Helmet) -> float:
    """Return the share of the shell's dome that is dark: its vents, the rim left out."""
    pixels = shell_only(helmet)
    dome = pixels[: int(MIDDLE[1] + (helmet.shell.rim - 0.2) * UNIT)]
    solid = dome[..., 3] > 250
    return float((dome[..., :3].max(axis=2)[solid] < 60).mean())


@pytest.mark.parametrize("colour", sorted(HEADWEAR))
def test_a_shell_shows_its_colour(colour: str) -> None:
    helmet = make_helmet("urban_helmet", HEADWEAR[colour], "test", 4)
    pixels = shell_only(helmet)[:, :, :3][shell_only(helmet)[..., 3] > 250]
    median = np.median(pixels, axis=0) / 255
    others = {name: float(np.abs(median - np.array(value)).sum()) for name, value in HEADWEAR.items()}
    assert min(others, key=lambda name: others[name]) == colour


def test_a_road_helmet_has_the_most_vents_and_an_urban_one_the_fewest() -> None:
    share = {
        make: np.mean([holes(make_helmet(make, HEADWEAR["yellow"], "t", s)) for s in range(8)]) for make in HELMETS
    }
    assert share["road_helmet"] > share["mountain_helmet"] > share["urban_helmet"] > 0


def test_only_the_mountain_helmet_always_has_a_peak() -> None:
    peaks = {make: [make_helmet(make, HEADWEAR["red"], "t", seed).peak for seed in range(40)] for make in HELMETS}
    assert all(peaks["mountain_helmet"])
    assert not any(peaks["road_helmet"])
    assert 0 < sum(peaks["urban_helmet"]) < 20


def test_the_mountain_helmet_reaches_deepest_behind() -> None:
    lowest = {}
    for make in HELMETS:
        canvas = Canvas(SIZE)
        with canvas.placed(MIDDLE, UNIT):
            draw_rear(canvas, make_helmet(make, HEADWEAR["red"], "t", 3), AHEAD)
        lowest[make] = int(np.argwhere(canvas.pixels()[..., 3])[:, 0].max())
    assert lowest["mountain_helmet"] > max(lowest["road_helmet"], lowest["urban_helmet"])


def test_a_helmet_turns_with_the_head() -> None:
    helmet = make_helmet("road_helmet", HEADWEAR["white"], "t", 2)
    ahead, turned = shell_only(helmet, AHEAD), shell_only(helmet, Turn(0.35, 0.05))
    assert np.abs(ahead.astype(int) - turned).mean() > 3


def straps_of(helmet: Helmet, straps: str) -> np.ndarray:
    canvas = Canvas(SIZE)
    with canvas.placed(MIDDLE, UNIT):
        draw_straps(canvas, helmet, AHEAD, straps)
    cover: np.ndarray = canvas.pixels()[..., 3]
    return cover


@pytest.mark.parametrize("make", HELMETS)
def test_fastened_straps_meet_under_the_chin_and_loose_ones_do_not(make: str) -> None:
    helmet = make_helmet(make, HEADWEAR["red"], "t", 1)
    chin = slice(int(MIDDLE[1] + 1.0 * UNIT), int(MIDDLE[1] + 1.3 * UNIT)), slice(72, 88)
    assert straps_of(helmet, "fastened")[chin].any()
    assert not straps_of(helmet, "loose")[chin].any()
    assert straps_of(helmet, "loose").any()
    assert not straps_of(helmet, "none").any()


def test_loose_straps_hang_lower_than_the_jaw() -> None:
    helmet = make_helmet("road_helmet", HEADWEAR["red"], "t", 1)
    assert np.argwhere(straps_of(helmet, "loose"))[:, 0].max() > MIDDLE[1] + 1.2 * UNIT


def test_a_helmet_that_is_not_worn_shows_its_shell() -> None:
    helmet = make_helmet("mountain_helmet", HEADWEAR["orange"], "held", 1)
    canvas = Canvas(SIZE)
    with canvas.placed(MIDDLE, UNIT, 20.0):
        draw_loose_helmet(canvas, helmet, Turn(0.5, 0.2))
    pixels = canvas.pixels().astype(int)
    orange = (pixels[..., 0] > 150) & (pixels[..., 2] < 110) & (pixels[..., 3] > 250)
    assert orange.sum() > 800

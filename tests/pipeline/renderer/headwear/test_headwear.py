from __future__ import annotations

import numpy as np
import pytest

from pipeline.renderer.canvas import Canvas
from pipeline.renderer.headwear.headwear import HIDES_HAIR, draw_behind, draw_on, sample_headwear
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
from pipeline.renderer.vocabulary import HELMETS, VOCABULARY

AHEAD = Turn(0.0, 0.05)
SIZE = (160, 200)
MIDDLE = (80.0, 110.0)
UNIT = 50.0
HATS = [name for name in VOCABULARY["headwear"] if name != "none"]


def sheet(kind: str, seed: int = 0, turn: Turn = AHEAD, colour: str = "yellow", straps: str = "none") -> Canvas:
    canvas = Canvas(SIZE)
    worn = sample_headwear(kind, colour, seed)
    with canvas.placed(MIDDLE, UNIT):
        draw_behind(canvas, worn, turn)
        draw_on(canvas, worn, turn, straps)
    return canvas


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


def test_a_bare_head_wears_nothing() -> None:
    assert sample_headwear("none", "red", 1) is None
    assert not sheet("none").pixels().any()


@pytest.mark.parametrize("kind", HATS)
def test_headwear_covers_the_crown_and_not_the_mouth(kind: str) -> None:
    for seed in range(6):
        cover = sheet(kind, seed).pixels()[..., 3]
        assert (cover[int(MIDDLE[1] - 0.95 * UNIT), 70:90] > 200).all()
    on_top = Canvas(SIZE)
    with on_top.placed(MIDDLE, UNIT):
        draw_on(on_top, sample_headwear(kind, "yellow", 1), AHEAD, "none")
    assert on_top.pixels()[int(MIDDLE[1] + 0.6 * UNIT), 75:85, 3].max() < 40


@pytest.mark.parametrize("kind", HATS)
def test_the_same_seed_wears_the_same_thing(kind: str) -> None:
    assert sample_headwear(kind, "red", 5) == sample_headwear(kind, "red", 5)
    assert np.array_equal(sheet(kind, 5).pixels(), sheet(kind, 5).pixels())


@pytest.mark.parametrize("kind", HATS)
def test_seeds_vary_what_is_worn(kind: str) -> None:
    assert len({sample_headwear(kind, "red", seed) for seed in range(10)}) == 10


@pytest.mark.parametrize("colour", sorted(HEADWEAR))
def test_a_shell_shows_its_colour(colour: str) -> None:
    helmet = make_helmet("urban_helmet", HEADWEAR[colour], "test", 4)
    pixels = shell_only(helmet)[:, :, :3][shell_only(helmet)[..., 3] > 250]
    seen = np.median(pixels, axis=0) / 255
    others = {name: float(np.abs(seen - np.array(value)).sum()) for name, value in HEADWEAR.items()}
    assert min(others, key=lambda name: others[name]) == colour


def test_a_road_helmet_has_the_most_vents_and_an_urban_one_the_fewest() -> None:
    share = {
        make: np.mean([holes(make_helmet(make, HEADWEAR["yellow"], "t", s)) for s in range(8)]) for make in HELMETS
    }
    assert share["road_helmet"] > share["mountain_helmet"] > share["urban_helmet"] > 0


@pytest.mark.parametrize("kind", ["beanie", "headscarf", "hood", "turban"])
def test_what_is_no_helmet_has_no_holes(kind: str) -> None:
    for seed in range(6):
        canvas = Canvas(SIZE)
        with canvas.placed(MIDDLE, UNIT):
            draw_on(canvas, sample_headwear(kind, "yellow", seed), AHEAD, "none")
        pixels = canvas.pixels()[30:70, 50:110]
        solid = pixels[..., 3] > 250
        assert (pixels[..., :3].max(axis=2)[solid] < 30).mean() < 0.05


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


def straps_of(helmet: Helmet, how: str) -> np.ndarray:
    canvas = Canvas(SIZE)
    with canvas.placed(MIDDLE, UNIT):
        draw_straps(canvas, helmet, AHEAD, how)
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


@pytest.mark.parametrize("kind", [name for name in HATS if name not in HELMETS])
def test_hats_take_no_straps(kind: str) -> None:
    assert np.array_equal(sheet(kind, 3, straps="fastened").pixels(), sheet(kind, 3, straps="none").pixels())


def test_a_helmet_in_the_hand_shows_its_shell() -> None:
    helmet = make_helmet("mountain_helmet", HEADWEAR["orange"], "held", 1)
    canvas = Canvas(SIZE)
    with canvas.placed(MIDDLE, UNIT, 20.0):
        draw_loose_helmet(canvas, helmet, Turn(0.5, 0.2))
    pixels = canvas.pixels().astype(int)
    orange = (pixels[..., 0] > 150) & (pixels[..., 2] < 110) & (pixels[..., 3] > 250)
    assert orange.sum() > 800


def test_cloth_around_the_head_hides_all_hair() -> None:
    assert {"hood", "headscarf", "turban"} == HIDES_HAIR

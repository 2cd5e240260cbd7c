from __future__ import annotations

import numpy as np
import pytest

from pipeline.renderer.canvas import Canvas
from pipeline.renderer.headwear.headwear import HIDES_HAIR, draw_behind, draw_on, sample_headwear
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


def test_a_bare_head_has_no_headwear() -> None:
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
def test_headwear_is_the_same_for_the_same_seed(kind: str) -> None:
    assert sample_headwear(kind, "red", 5) == sample_headwear(kind, "red", 5)
    assert np.array_equal(sheet(kind, 5).pixels(), sheet(kind, 5).pixels())


@pytest.mark.parametrize("kind", HATS)
def test_headwear_varies_with_the_seed(kind: str) -> None:
    assert len({sample_headwear(kind, "red", seed) for seed in range(10)}) == 10


@pytest.mark.parametrize("kind", ["beanie", "headscarf", "hood", "turban"])
def test_headwear_that_is_not_a_helmet_has_no_vents(kind: str) -> None:
    for seed in range(6):
        canvas = Canvas(SIZE)
        with canvas.placed(MIDDLE, UNIT):
            draw_on(canvas, sample_headwear(kind, "yellow", seed), AHEAD, "none")
        pixels = canvas.pixels()[30:70, 50:110]
        solid = pixels[..., 3] > 250
        assert (pixels[..., :3].max(axis=2)[solid] < 30).mean() < 0.05


@pytest.mark.parametrize("kind", [name for name in HATS if name not in HELMETS])
def test_hats_have_no_straps(kind: str) -> None:
    assert np.array_equal(sheet(kind, 3, straps="fastened").pixels(), sheet(kind, 3, straps="none").pixels())


def test_hood_headscarf_and_turban_hide_all_hair() -> None:
    assert {"hood", "headscarf", "turban"} == HIDES_HAIR
